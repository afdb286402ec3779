//! Mappings applied to small documents. Paths are compared with other engines in
//! `tests/it/properties.rs`.

use serde_json::{Value, json};

use super::*;
use crate::protocol::ErrorKind;

fn mapping(text: &str) -> Mapping {
    Mapping::parse(text, "m.json").expect("a mapping")
}

fn apply(mapping: &Mapping, raw: &str) -> Mapped {
    let raw = Document::parse(raw).expect("JSON");
    mapping.apply(&raw).expect("the root exists")
}

/// Events without their keys, as one JSON text each.
fn events(mapped: &Mapped) -> Vec<String> {
    let shown = |event: &Event| {
        let fields = serde_json::to_string(&event.fields).expect("JSON");
        format!("{} {fields}", event.source)
    };
    mapped.events.iter().map(shown).collect()
}

fn simple(root: &str, fields: &str) -> Mapping {
    mapping(&format!(
        r#"{{"mapping":1,"root":"{root}","sources":[{{"id":"d","fields":[{fields}]}}]}}"#
    ))
}

#[test]
fn digits_escapes_and_unusual_names_are_unchanged() {
    let fields = r#"{"field":"A","path":".a"},{"field":"B","path":"..b"},{"field":"G","path":".a[?@ != 0]"}"#;
    let mapped = apply(
        &simple("$.value", fields),
        r#"{"value":[{"a":18446744073709551616,"b":1e400},
            {"a":"\ud83d","b":"\u0041","\ud83d":{"b":0.10}},
            {"$serde_json::private::RawValue":1,"a":[1e400,"\ud83d"],"x":{"$serde_json::private::RawValue":{"b":1.0}}}]}"#,
    );
    assert_eq!(
        events(&mapped),
        [
            r#"d {"A":18446744073709551616,"B":[1e400]}"#,
            r#"d {"A":"\ud83d","B":["\u0041",0.10]}"#,
            r#"d {"A":[1e400,"\ud83d"],"B":[1.0],"G":[1e400,"\ud83d"]}"#,
        ]
    );
    assert!(mapped.faults.is_empty());
}

#[test]
fn match_of_a_parent_is_before_matches_of_its_descendants() {
    let fields = r#"{"field":"A","path":"..a"},{"field":"N","path":".x..a.a"}"#;
    let raw = r#"{"x":{"a":{"a":1,"b":{"a":2}},"c":[{"a":{"a":3}}]},"a":4}"#;
    let mapped = apply(&simple("$", fields), raw);
    assert_eq!(
        events(&mapped),
        [r#"d {"A":[4,{"a":1,"b":{"a":2}},1,2,{"a":3},3],"N":[1,3]}"#]
    );
}

#[test]
fn repeated_member_is_found_twice_in_a_list_and_once_as_a_value() {
    let fields =
        r#"{"field":"A","path":".a"},{"field":"All","path":"..a"},{"field":"F","path":"[?@ > 1]"}"#;
    let mapped = apply(&simple("$", fields), r#"{"a":1,"b":3,"\u0061":2}"#);
    assert_eq!(events(&mapped), [r#"d {"A":2,"All":[1,2],"F":[3,2]}"#]);
    let mapped = apply(
        &simple("$.v", r#"{"field":"A","path":".a"}"#),
        r#"{"v":[{"a":1}],"v":[{"a":2}]}"#,
    );
    assert_eq!(events(&mapped), [r#"d {"A":2}"#]);
}

#[test]
fn sources_are_tried_in_order_and_inherit_from_the_last() {
    let mapping = mapping(
        r#"{"mapping":1,"root":"$","sources":[
        {"id":"mail","when":"@.kind == 'mail' || @.n > 5","fields":[
            {"field":"B","path":".mail"},{"field":"New","custom":true,"path":".new"}]},
        {"id":"other","when":"@.kind","fields":[]},
        {"id":"rest","fields":[{"field":"A","path":".a"},{"field":"B","path":".b"},{"field":"C","path":".c"}]}]}"#,
    );
    let mapped = apply(
        &mapping,
        r#"[{"kind":"mail","a":1,"b":2,"c":3,"mail":4,"new":5},{"n":6,"a":1},{"kind":"x","b":1},{"b":1}]"#,
    );
    assert_eq!(
        events(&mapped),
        [
            r#"mail {"A":1,"B":4,"C":3,"__New":5}"#,
            r#"mail {"A":1}"#,
            r#"other {"B":1}"#,
            r#"rest {"B":1}"#,
        ]
    );
    assert_eq!(mapping.fields(), ["A", "B", "C", "__New"]);
}

#[test]
fn key_is_a_value_or_the_hash_of_the_content() {
    let keyed =
        mapping(r#"{"mapping":1,"root":"$","key":".id","sources":[{"id":"d","fields":[]}]}"#);
    let mapped = apply(
        &keyed,
        r#"[{"id":"a\"b"},{"id":7.0},{"id":null,"x":1},{"x":1,"id":null},{"x":1.0,"id":null},{"id":""}]"#,
    );
    let keys: Vec<&str> = mapped.events.iter().map(|event| &*event.key).collect();
    assert_eq!(keys[..2], ["a\"b", "7.0"]);
    assert!(
        keys[2].starts_with("sha256:") && keys[2].len() == 71,
        "{}",
        keys[2]
    );
    assert_ne!(keys[2], keys[3], "the order of members counts");
    assert_eq!(keys[3], keys[4], "the spelling of a number does not");
    assert!(keys[5].starts_with("sha256:"));
}

#[test]
fn invalid_record_is_reported_and_the_others_are_mapped() {
    let mapped = apply(
        &simple("$.value", r#"{"field":"A","path":".a"}"#),
        r#"{"value":[{"a":1},null,7,{"a":2}]}"#,
    );
    assert_eq!(events(&mapped), [r#"d {"A":1}"#, r#"d {"A":2}"#]);
    let faults: Vec<_> = mapped
        .faults
        .iter()
        .map(|fault| (fault.index, &*fault.message))
        .collect();
    assert_eq!(
        faults,
        [
            (
                1,
                "Record 1 was not mapped: it is null, expected an object."
            ),
            (
                2,
                "Record 2 was not mapped: it is a number, expected an object."
            ),
        ]
    );
    let whole = apply(&simple("$", r#"{"field":"A","path":""}"#), "[7,[8]]");
    assert_eq!(events(&whole), [r#"d {"A":7}"#, r#"d {"A":[8]}"#]);
}

#[test]
fn record_with_too_much_work_is_reported() {
    let fields = r#"{"field":"A","path":"..[?count(@..*) > count($..*)]"}"#;
    let record = format!("{{\"a\":[{}0]}}", "[],".repeat(3000));
    let mapped = apply(&simple("$", fields), &format!("[{{}},{record},{{}}]"));
    assert_eq!((mapped.events.len(), mapped.faults.len()), (2, 1));
    assert!(mapped.faults[0].message.contains("exceed the work limit"));
}

#[test]
fn missing_root_is_reported_with_its_path_and_the_members() {
    let fails = |root: &str, raw: &str| {
        let raw = Document::parse(raw).expect("JSON");
        let failure = simple(root, "").apply(&raw).expect_err("no root");
        assert_eq!(failure.kind(), ErrorKind::BadResponse);
        assert!(failure.assistance().is_some());
        failure.message().to_owned()
    };
    assert_eq!(
        fails("$.value", r#"{"error":{"value":[]},"code":1}"#),
        "The response has no value at the root path \"$.value\": its members are \"error\", \"code\"."
    );
    assert!(fails("$.value", "[]").contains("it is not an object"));
    assert!(fails("$.value", r#"{"value":null}"#).contains("the response has null"));
    assert!(fails("$.value[*]", r#"{"x":[]}"#).contains("its members are \"x\""));
    assert!(
        apply(&simple("$.value[*]", ""), r#"{"value":[]}"#)
            .events
            .is_empty()
    );
}

#[test]
fn absolute_path_reads_the_raw_document() {
    let fields = r#"{"field":"C","path":"$['@odata.context']"},{"field":"N","path":"$.value[?@.a == 2].a"},{"field":"A","path":".a"}"#;
    let mapped = apply(
        &simple("$.value", fields),
        r#"{"value":[{"a":1},{"a":2}],"@odata.context":"c"}"#,
    );
    assert_eq!(
        events(&mapped),
        [
            r#"d {"C":"c","N":[2],"A":1}"#,
            r#"d {"C":"c","N":[2],"A":2}"#
        ]
    );
}

#[test]
fn values_that_cannot_be_converted_are_one_warning_per_field() {
    let fields = r#"{"field":"N","path":"..n","type":"integer"},{"field":"T","path":".t","type":"datetime"}"#;
    let mapped = apply(
        &simple("$", fields),
        r#"[{"n":"x","t":"soon"},{"a":{"n":"y"},"n":1},{"n":[]}]"#,
    );
    assert_eq!(events(&mapped), ["d {}", r#"d {"N":[1]}"#, "d {}"]);
    let warnings: Vec<_> = mapped
        .warnings
        .iter()
        .map(|warning| &*warning.message)
        .collect();
    assert_eq!(
        warnings,
        [
            "3 values of the field \"N\" could not be converted and were left out.",
            "1 value of the field \"T\" could not be converted and was left out.",
        ]
    );
    assert_eq!(
        mapped.warnings[0].at.as_deref(),
        Some("m.json:/sources/0/fields/0")
    );
}

#[test]
fn names_with_dots_make_objects_with_nest() {
    let mapping = mapping(
        r#"{"mapping":1,"root":"$","vocabulary":"own","nest":true,"sources":[{"id":"d","fields":[
        {"field":"actor.user.name","path":".u"},{"field":"time","path":".t"},{"field":"actor.id","path":".i"}]}]}"#,
    );
    let mapped = apply(&mapping, r#"{"u":"a","t":1,"i":2}"#);
    assert_eq!(
        events(&mapped),
        [r#"d {"actor":{"user":{"name":"a"},"id":2},"time":1}"#]
    );
    let clash = Mapping::parse(
        r#"{"mapping":1,"root":"$","vocabulary":"own","nest":true,"sources":[{"id":"d","fields":[
        {"field":"a","path":".a"},{"field":"a.b","path":".b"}]}]}"#,
        "m.json",
    );
    assert!(
        clash
            .expect_err("a clash")
            .message()
            .contains("is a value, but")
    );
}

#[test]
fn condition_that_closes_its_bracket_is_refused() {
    for when in ["@.a],[?@.b", "@.a].b[?@.c", "", "1"] {
        let text = format!(
            r#"{{"mapping":1,"root":"$","sources":[{{"id":"a","when":"{when}","fields":[]}},{{"id":"b","fields":[]}}]}}"#
        );
        let failure = Mapping::parse(&text, "m.json").expect_err("no condition");
        assert_eq!(failure.place(), Some("m.json:/sources/0/when"), "{when}");
    }
}

#[test]
fn mapping_with_too_many_fields_is_refused() {
    let fields: Vec<String> = (0..=MAX_FIELDS)
        .map(|n| format!(r#"{{"field":"{n}","path":".a"}}"#))
        .collect();
    let text = format!(
        r#"{{"mapping":1,"root":"$","sources":[{{"id":"d","fields":[{}]}}]}}"#,
        fields.join(",")
    );
    let failure = Mapping::parse(&text, "/mapping").expect_err("too many");
    assert_eq!(failure.kind(), ErrorKind::InvalidMapping);
    assert_eq!(failure.place(), Some("/mapping/sources"));
}

#[test]
fn functions_nested_too_deep_are_refused_before_they_are_parsed() {
    let nested = |depth: usize| {
        format!(
            "$[?{}@.a{} > 1]",
            "length(".repeat(depth),
            ")".repeat(depth)
        )
    };
    assert!(FieldPath::parse(&nested(6)).is_ok());
    // The time that the parser needs for unclosed calls grows exponentially with their number.
    for text in [
        nested(7),
        "$[?".to_owned() + &"length (".repeat(100),
        "$[?".to_owned() + &"match (@,".repeat(100),
    ] {
        let why = FieldPath::parse(&text).expect_err("too deep").to_string();
        assert_eq!(why, "functions nested deeper than 6");
    }
    for text in [r#"$[?@.a == "f(f(f(f(f(f(f("]"#, "$[?((((((((@.a))))))))]"] {
        assert!(FieldPath::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn documented_mapping_has_no_fault() {
    let text = include_str!("../../mappings/purview_audit_alert_v2/fetch_event.json");
    let names = vocabulary(include_str!("../../mappings/fields.json")).expect("names");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mapping = mapping(text);
    assert!(lint(mapping.definition(), &names, "m.json").is_empty());
    assert_eq!(mapping.fields().len(), 20);
    assert_eq!(mapping.definition().key, None);
}

#[test]
fn patched_mapping_maps_with_the_changes() {
    let patch: MappingPatch = serde_json::from_str(
        r#"{"add":[{"field":"My Own","custom":true,"path":".o"}],"remove":["A"],"key":".k"}"#,
    )
    .expect("a patch");
    let patched = simple("$", r#"{"field":"A","path":".a"}"#);
    let patched = patched.patched(&patch, "/mapping").expect("patched");
    let mapped = apply(&patched, r#"{"a":1,"o":2,"k":"K"}"#);
    assert_eq!(events(&mapped), [r#"d {"__My_Own":2}"#]);
    assert_eq!(mapped.events[0].key, "K");
}

#[test]
fn watch_that_refuses_stops_compiling_and_mapping() {
    let text = r#"{"mapping":1,"root":"$","vocabulary":"own","sources":[{"id":"d","fields":[
        {"field":"A","path":".a"},{"field":"B","path":".b"}]}]}"#;
    let stopped = || Failure::new(ErrorKind::Timeout, "Enough.");
    let refuse = |_| Err(stopped());
    let definition = Definition::parse(text, "m").expect("a definition");
    let failure = Mapping::compile_within(definition, "m", Watch::new(&refuse));
    assert_eq!(failure.expect_err("stopped").message(), "Enough.");
    let mapping = Mapping::parse(text, "m").expect("a mapping");
    let records = format!("[{}]", vec![r#"{"a":1,"b":"x"}"#; 100].join(","));
    let records = Document::parse(&records).expect("JSON");
    let calls = std::cell::Cell::new((0, 0));
    let count = |made| {
        let (records, bytes) = calls.get();
        calls.set((records + 1, bytes + made));
        if records < 9 { Ok(()) } else { Err(stopped()) }
    };
    let failure = mapping.apply_within(&records, Watch::new(&count));
    assert_eq!(failure.expect_err("stopped").message(), "Enough.");
    let (records, bytes) = calls.get();
    assert_eq!(records, 10, "nothing is mapped after it");
    assert!(bytes > 10 * 71, "keys count: {bytes}");
}

/// The fields of the only record, with a mapping of one source.
fn nested_event(settings: &str, fields: &str, record: &str) -> String {
    let text = format!(
        r#"{{"mapping":1,"root":"$","vocabulary":"own","nest":true,{settings}"sources":[
            {{"id":"d","fields":[{fields}]}}]}}"#
    );
    let mapping = Mapping::parse(&text, "m").expect("a mapping");
    let mapped = mapping.apply(&Document::parse(record).expect("JSON"));
    let mapped = mapped.expect("it maps");
    serde_json::to_string(&mapped.events[0].fields).expect("an event serializes")
}

#[test]
fn constant_and_field_above_need_no_path() {
    let fields = r#"{"field":"class_uid","default":3002},
        {"field":"activity_name","path":".Operation","values":{"UserLoggedIn":"Logon"}},
        {"field":"activity_id","from":"activity_name","values":{"Logon":1,"*":99}},
        {"field":"missing_id","from":"missing","values":{"*":99}}"#;
    let fields = fields.replace(r#","from":"missing""#, r#","path":".missing""#);
    let event = nested_event("", &fields, r#"{"Operation":"UserLoggedIn"}"#);
    assert_eq!(
        event,
        r#"{"class_uid":3002,"activity_name":"Logon","activity_id":1}"#
    );
    let event = nested_event("", &fields, r#"{"Operation":"Other"}"#);
    assert!(event.contains(r#""activity_name":"Other","activity_id":99"#));
}

#[test]
fn elements_of_a_list_come_from_several_fields() {
    let fields = r#"{"field":"who[ip]","path":".ips[*]","format":{"type":2,"value":"{}"}},
        {"field":"x","path":".x"},
        {"field":"who[user].type","default":4},
        {"field":"who[user].value","path":".user"}"#;
    let event = nested_event("", fields, r#"{"ips":["a","b"],"x":1,"user":"u"}"#);
    assert_eq!(
        event,
        r#"{"who":[{"type":2,"value":"a"},{"type":2,"value":"b"},{"type":4,"value":"u"}],"x":1}"#
    );
}

#[test]
fn rest_has_values_that_no_field_holds_completely() {
    let fields = r#"{"field":"first","path":"['a','b']","take":"first"},{"field":"time","path":".t","type":"datetime"},
        {"field":"host","path":".h","regex":"^[a-z]+"},{"field":"whole","path":".w","regex":"^[a-z]+"},
        {"field":"low","path":".l","values":{"low":1,"*":9}},{"field":"odd","path":".o","values":{"low":1,"*":9}},
        {"field":"as_is","path":".u","values":{"low":1}},{"field":"same","path":"['y','z']","take":"unique"},
        {"field":"all","path":"['m','n']","take":"join"},{"field":"last","path":"['p','q']","take":"last"}"#;
    let record = r#"{"a":"1","b":"1","t":"soon","h":"mail:25","w":"mail","l":"low","o":"odd","u":"u",
        "y":"s","z":"s","m":"m","n":"n","p":"p","q":null}"#;
    let event = nested_event(r#""rest":"rest","#, fields, record);
    let event: Value = serde_json::from_str(&event).expect("JSON");
    let rest = json!({"b": "1", "t": "soon", "h": "mail:25", "o": "odd"});
    assert_eq!(event["rest"], rest, "{event}");
}

#[test]
fn rest_is_what_no_path_selects() {
    let fields = r#"{"field":"id","path":".id"},{"field":"un.to","path":".mail.to[0]"},
        {"field":"un.name","path":".pairs[?@.n == 'x'].v"},{"field":"deep","path":"..inner"}"#;
    let record = r#"{"id":1.0,"none":null,"mail":{"to":["a"],"from":"f","x":{"inner":1}},
        "pairs":[{"n":"x","v":1},{"n":"y","v":2}],"@odata.type":"t","caf\u00e9":[]}"#;
    let event = nested_event(r#""rest":"un","#, fields, record);
    assert_eq!(
        event,
        r#"{"id":1.0,"un":{"to":"a","name":[1],"mail":{"from":"f"},"pairs":[{"n":"x","v":1},{"n":"y","v":2}],"@odata.type":"t","caf\u00e9":[]},"deep":[1]}"#
    );
    let event = nested_event(
        r#""rest":"un","#,
        r#"{"field":"a","path":".a"}"#,
        r#"{"a":2}"#,
    );
    assert_eq!(event, r#"{"a":2}"#);
}

#[test]
fn origin_of_a_field_that_cannot_work_is_a_fault() {
    for (field, message) in [
        (r#"{"field":"a"}"#, "it never has a value"),
        (
            r#"{"field":"a","path":".a","from":"b"}"#,
            "either `path` or `from`",
        ),
        (
            r#"{"field":"a","from":"b"},{"field":"b","path":".b"}"#,
            "no field \"b\" above",
        ),
        (
            r#"{"field":"a","path":".a"},{"field":"a[x]","path":".b"}"#,
            "needs an object or a list",
        ),
    ] {
        let text = format!(
            r#"{{"mapping":1,"root":"$","vocabulary":"own","nest":true,"sources":[
                {{"id":"d","fields":[{field}]}}]}}"#
        );
        let failure = Mapping::parse(&text, "m").expect_err("a fault");
        assert!(failure.message().contains(message), "{failure}");
    }
}

#[test]
fn values_of_fields_above_cannot_fill_the_memory() {
    let next = |n: usize| {
        format!(
            r#"{{"field":"f{n}","from":"f{}","format":["{{}}","{{}}","{{}}","{{}}"]}}"#,
            n - 1
        )
    };
    let fields: Vec<String> = (1..100).map(next).collect();
    let text = format!(
        r#"{{"mapping":1,"root":"$","vocabulary":"own","sources":[{{"id":"d","fields":[
            {{"field":"f0","path":".a"}},{}]}}]}}"#,
        fields.join(",")
    );
    let mapping = Mapping::parse(&text, "m").expect("a mapping");
    let mapped = mapping.apply(&Document::parse(r#"{"a":"x"}"#).expect("JSON"));
    let mapped = mapped.expect("it maps");
    assert!(mapped.events[0].fields.0.len() < 20, "values are left out");
    assert_eq!(mapped.warnings.len(), 1);
}
