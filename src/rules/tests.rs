//! Tests of rules over records.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::rules::{Limits, Outcome, RuleFault, RuleSet, RuleText, Severity};

fn now() -> DateTime<Utc> {
    "2026-01-15T00:00:00Z".parse().expect("a time")
}

fn compiled(yaml: &str) -> RuleSet {
    let texts = [RuleText::of_catalog("rules/own.yml", yaml)];
    RuleSet::compile(&texts)
        .unwrap_or_else(|faults| panic!("{}", RuleFault::join(faults).message()))
}

fn faults(yaml: &str) -> Vec<String> {
    let texts = [RuleText::inline("/inputs/rules/0", yaml)];
    let faults = RuleSet::compile(&texts).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

fn run(rules: &RuleSet, state: Option<&Value>, records: &[Value]) -> Outcome {
    let mut run = rules.start(state, now());
    for record in records {
        run.record(&record.to_string());
    }
    run.finish()
}

/// A record of a failed sign-in, `second` seconds into a day.
fn failed(id: u32, second: i64, user: u32, address: u32) -> Value {
    let time = DateTime::from_timestamp(1_768_348_800 + second, 0).expect("a time");
    json!({ "Id": format!("5b0f5c77-1c7a-4f2f-9a39-{id:012}"), "RecordType": 15, "Operation": "UserLoginFailed",
            "CreationTime": time.format("%Y-%m-%dT%H:%M:%S").to_string(), "Workload": "AzureActiveDirectory",
            "UserId": format!("user{user}@contoso.example"), "ClientIP": format!("203.0.113.{address}") })
}

const FAILED: &str = "
title: Failed sign-in
name: failed
logsource: {product: m365, service: azuread}
detection:
  selection:
    Operation: UserLoginFailed
  condition: selection
";

fn correlation(body: &str) -> String {
    format!("{FAILED}---\ntitle: Burst\nid: burst\ncorrelation:\n{body}")
}

const COUNT: &str = "  type: event_count
  rules: [failed]
  group-by: [ClientIP]
  timespan: 10m
  condition: {gte: 3}
";

const VALUES: &str = "  type: value_count
  rules: [failed]
  group-by: [ClientIP]
  timespan: 10m
  condition: {gte: 3, field: UserId}
";

#[test]
fn detection_rule_gives_one_alert_per_record_and_a_repeated_record_none() {
    let rules = compiled(FAILED);
    let records = [failed(1, 0, 1, 1), failed(2, 5, 1, 1), failed(1, 0, 1, 1)];
    let outcome = run(&rules, None, &records);
    assert_eq!(outcome.alerts.len(), 2);
    assert_eq!(
        outcome.alerts[0].key,
        "failed:5b0f5c77-1c7a-4f2f-9a39-000000000001"
    );
    assert_eq!(
        outcome.alerts[0].message,
        "Failed sign-in: user1@contoso.example, UserLoginFailed from 203.0.113.1."
    );
    assert!(outcome.state.is_none() && outcome.warnings.is_empty());
}

#[test]
fn burst_gives_one_alert_until_the_condition_has_not_held_for_its_timespan() {
    let rules = compiled(&correlation(COUNT));
    let steady: Vec<Value> = (0..40)
        .map(|n| failed(n, i64::from(n) * 60, 1, 1))
        .collect();
    let outcome = run(&rules, None, &steady);
    assert_eq!(outcome.alerts.len(), 1, "40 minutes, never quiet");
    assert_eq!(outcome.alerts[0].count, 40);
    assert_eq!(outcome.alerts[0].group["ClientIP"], "203.0.113.1");

    let mut twice = vec![failed(1, 0, 1, 1), failed(2, 1, 1, 1), failed(3, 2, 1, 1)];
    twice.extend((4..7).map(|n| failed(n, 3_000, 1, 1)));
    assert_eq!(run(&rules, None, &twice).alerts.len(), 2);
}

#[test]
fn suppression_lengthens_the_quiet_time() {
    let twice: Vec<Value> = (0..6)
        .map(|n| failed(n, i64::from(n / 3) * 3_000, 1, 1))
        .collect();
    let plain = compiled(&correlation(COUNT));
    assert_eq!(run(&plain, None, &twice).alerts.len(), 2);
    let yaml = format!(
        "{}custom_attributes:\n  rsigma.suppress: 1h\n",
        correlation(COUNT)
    );
    assert_eq!(run(&compiled(&yaml), None, &twice).alerts.len(), 1);
}

#[test]
fn state_that_was_changed_is_read_without_a_panic() {
    let rules = compiled(&correlation(COUNT));
    let state = json!({ "version": 1, "newest": i64::MAX, "groups": [{ "rule": "burst", "by": ["203.0.113.1"],
        "from": 0, "hits": "", "alerted": [[i64::MIN, i64::MAX], [0, i64::MAX]] }] });
    let outcome = run(
        &rules,
        Some(&state),
        &[failed(1, 0, 1, 1), failed(2, 0, 1, 1), failed(3, 0, 1, 1)],
    );
    assert_eq!(outcome.alerts.len(), 1);
    for state in [
        json!(1),
        json!({}),
        json!({ "version": 2, "newest": 1, "groups": [] }),
        json!({ "version": 1, "newest": 1, "groups": [
            { "rule": "burst", "by": ["a"], "from": i64::MAX, "hits": "__________8B", "alerted": [] }] }),
        json!({ "version": 1, "newest": 1, "groups": [
            { "rule": "burst", "by": ["a"], "from": 0, "hits": "AQIA", "alerted": [] }] }),
    ] {
        assert_eq!(
            run(&rules, Some(&state), &[]).warnings[0].code,
            "rules_state_ignored"
        );
    }
}

#[test]
fn late_record_completes_a_burst_of_earlier_runs_and_a_repeat_does_not() {
    let rules = compiled(&correlation(COUNT));
    let first = run(&rules, None, &[failed(1, 0, 1, 1), failed(2, 300, 1, 1)]);
    let state = first.state.as_ref();
    assert!(
        run(&rules, state, &[failed(2, 300, 1, 1)])
            .alerts
            .is_empty()
    );
    let second = run(&rules, state, &[failed(9, 40_000, 1, 2)]);
    let third = run(&rules, second.state.as_ref(), &[failed(3, 200, 1, 1)]);
    assert_eq!(third.alerts.len(), 1);
    assert_eq!(third.alerts[0].count, 3);
    let fourth = run(&rules, third.state.as_ref(), &[failed(4, 400, 1, 1)]);
    assert!(fourth.alerts.is_empty(), "the alert was given");
}

#[test]
fn temporal_rules_need_all_rules_and_the_ordered_ones_their_order() {
    let both = |kind: &str| {
        let login = FAILED
            .replace("Failed sign-in", "Good sign-in")
            .replace("UserLoginFailed", "UserLoggedIn");
        let login = login.replace("name: failed", "name: good");
        let body = format!(
            "  type: {kind}\n  rules: [failed, good]\n  group-by: [who]\n  timespan: 5m\n  aliases:\n    who:\n      failed: UserId\n      good: ObjectId\n"
        );
        compiled(&format!("{login}---\n{}", correlation(&body)))
    };
    let good = |id, second| {
        let mut record = failed(id, second, 1, 1);
        record["Operation"] = json!("UserLoggedIn");
        record["ObjectId"] = record["UserId"].clone();
        record["UserId"] = json!("other");
        record
    };
    let forwards = [failed(1, 0, 1, 1), good(2, 60)];
    let backwards = [good(1, 0), failed(2, 60, 1, 1)];
    let apart = [failed(1, 0, 1, 1), good(2, 301)];
    let count = |kind, records: &[Value]| run(&both(kind), None, records).alerts.len();
    assert_eq!(count("temporal", &forwards), 1);
    assert_eq!(count("temporal", &backwards), 1);
    assert_eq!(count("temporal", &apart), 0);
    assert_eq!(count("temporal_ordered", &forwards), 1);
    assert_eq!(count("temporal_ordered", &backwards), 0);
    assert_eq!(count("temporal_ordered", &apart), 0);
}

#[test]
fn correlation_counts_alerts_of_another_correlation() {
    let chain = "---\ntitle: Two addresses\nid: chain\ncorrelation:\n  type: event_count\n  rules: [burst]\n  timespan: 1h\n  condition: {gte: 2}\n";
    let rules = compiled(&format!("{}{chain}", correlation(COUNT)));
    let records: Vec<Value> = (0..6).map(|n| failed(n, i64::from(n), 1, n % 2)).collect();
    let outcome = run(&rules, None, &records);
    let titles: Vec<&str> = outcome
        .alerts
        .iter()
        .map(|alert| alert.title.as_str())
        .collect();
    assert_eq!(titles, ["Two addresses"], "the inner one is silent");
}

#[test]
fn filter_excludes_records() {
    let filter = "---\ntitle: Our scanner\nlogsource: {product: m365}\nfilter:\n  rules: [failed]\n  selection:\n    ClientIP: 203.0.113.9\n  condition: not selection\n";
    let rules = compiled(&format!("{FAILED}{filter}"));
    let records = [failed(1, 0, 1, 9), failed(2, 0, 1, 8)];
    assert_eq!(run(&rules, None, &records).alerts.len(), 1);
}

#[test]
fn names_and_values_of_lists_are_fields_and_names_of_the_wild_are_known() {
    let rule = |selection: &str| {
        compiled(&format!(
            "title: T\nlogsource: {{product: m365, service: exchange}}\ndetection:\n  selection:\n{selection}\n  condition: selection\n"
        ))
    };
    let record = json!({ "Id": "1", "Workload": "Exchange", "Operation": "Set-Mailbox", "ResultStatus": "True",
        "Parameters": [{ "Name": "ForwardTo", "Value": "x@evil.example" }],
        "ModifiedProperties": [{ "Name": "Role.DisplayName", "NewValue": "Admin", "OldValue": "" }] });
    for selection in [
        "    Parameters.ForwardTo|contains: evil",
        "    ForwardTo|endswith: .example",
        "    ModifiedProperties.Role.DisplayName.NewValue: admin",
        "    Role.DisplayName: Admin",
        "    eventSource: Exchange\n    eventName: set-mailbox\n    status: success",
        "    Operation|re: ^Set-M[a-z]+$",
    ] {
        let found = run(&rule(selection), None, std::slice::from_ref(&record))
            .alerts
            .len();
        assert_eq!(found, 1, "{selection}");
    }
    for selection in [
        "    status: failure",
        "    eventSource: SharePoint",
        "    Operation: New-Mailbox",
    ] {
        let found = run(&rule(selection), None, std::slice::from_ref(&record))
            .alerts
            .len();
        assert_eq!(found, 0, "{selection}");
    }
}

#[test]
fn all_faults_are_reported_with_their_lines() {
    let bad = format!(
        "{}---\n{}---\n{}",
        FAILED.replace("Operation:", "Operation|containz:"),
        FAILED.replace("condition: selection", "condition: selektion and"),
        correlation(&COUNT.replace("[failed]", "[nothing]"))
    );
    let faults = faults(&bad);
    assert!(faults.len() >= 3, "{faults:#?}");
    assert!(faults[0].starts_with("Line 7, column"), "{faults:#?}");
    assert!(
        faults.iter().any(|fault| fault.contains("'nothing'")),
        "{faults:#?}"
    );
    let yaml = crate::rules::tests::faults("title: x\n  y: [");
    assert!(yaml[0].starts_with("Line "), "{yaml:#?}");
}

#[test]
fn two_rules_with_one_id_are_a_fault() {
    let found = faults(&format!("{FAILED}---{FAILED}"));
    assert!(
        found[0].contains("Two rules have the id 'failed'"),
        "{found:#?}"
    );
}

#[test]
fn record_later_than_the_state_reaches_gives_a_warning() {
    let rules = compiled(&correlation(COUNT));
    let first = run(&rules, None, &[failed(1, 0, 1, 1), failed(2, 90_000, 1, 1)]);
    let late = run(
        &rules,
        first.state.as_ref(),
        &[failed(3, -2_000, 1, 1), failed(4, 80_000, 1, 1)],
    );
    let codes: Vec<&str> = late.warnings.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["rules_record_late"], "{:?}", late.warnings);
    assert!(
        late.warnings[0].message.starts_with("1 "),
        "{:?}",
        late.warnings
    );
}

#[test]
fn budget_of_inline_rules_is_checked_before_they_are_compiled() {
    let long = "x".repeat(4_097);
    let one = FAILED.replace("UserLoginFailed", &long);
    assert!(faults(&one)[0].contains("4097 bytes"));
    let many = vec![FAILED.trim_start(); 201].join("\n---\n");
    assert!(faults(&many)[0].contains("201 inline rules"));
    let list: Vec<String> = (0..1_001).map(|n| format!("v{n}")).collect();
    let wide = FAILED.replace("UserLoginFailed", &format!("[{}]", list.join(", ")));
    assert!(faults(&wide)[0].contains("1001 patterns"));
    assert!(faults(&" ".repeat(300_000))[0].contains("300000 bytes"));
    for word in ["not ", "\\x6eot "] {
        let condition = format!("\"{}selection\"", word.repeat(15_000));
        let deep = FAILED.replace("condition: selection", &format!("condition: {condition}"));
        assert!(faults(&deep)[0].contains("15000 times"));
    }
    for (part, terms) in [("selection or ", 5_201), ("1 of them or ", 13_001)] {
        let condition = format!("condition: {}selection", part.repeat(2_600));
        let long = FAILED.replace("condition: selection", &condition);
        let wanted = format!("{terms} terms");
        assert!(faults(&long)[0].contains(&wanted), "{:?}", faults(&long));
    }
    let dashes = FAILED.replace("Operation: UserLoginFailed", "UserId|windash: '-----'");
    assert!(faults(&dashes)[0].contains("3125 patterns"));
    let words: Vec<String> = list.iter().map(|word| format!("- {word}")).collect();
    let words = FAILED.replace("Operation: UserLoginFailed", &words.join("\n    "));
    assert!(faults(&words)[0].contains("1001 patterns"));
    let regex =
        |text: &str| FAILED.replace("Operation: UserLoginFailed", &format!("UserId|re: {text}"));
    assert!(faults(&regex("'\\w{90}'"))[0].contains("262144 bytes"));
    assert!(faults(&regex("'^[a-z]{2,40}@\\w+$'")).is_empty());
    let many: Vec<String> = (0..900).map(|n| format!("'\\w{{3}}{n}'")).collect();
    assert!(faults(&regex(&format!("[{}]", many.join(", "))))[0].contains("16777216 for all"));
}

#[test]
fn warnings_name_unknown_fields_and_conditions_that_are_never_true() {
    let check = |yaml: &str| -> Vec<String> {
        let faults = RuleSet::check(&[RuleText::of_catalog("a.yml", yaml)]);
        assert!(
            faults
                .iter()
                .all(|fault| fault.severity == Severity::Warning),
            "{faults:?}"
        );
        faults.iter().map(ToString::to_string).collect()
    };
    assert_eq!(check(FAILED), [] as [&str; 0]);
    let unknown = check(&FAILED.replace("Operation:", "Operatoin:"));
    assert!(
        unknown[0].contains("no field Operatoin. Did you mean Operation?"),
        "{unknown:?}"
    );
    let two = "Operation: UserLoginFailed\n  more:\n    Operation: UserLoggedIn\n  condition: selection and more #";
    let never = check(&FAILED.replace(
        "Operation: UserLoginFailed\n  condition:",
        &format!("{two}\n  #"),
    ));
    assert!(never[0].contains("never true"), "{never:?}");
    let other = check(&FAILED.replace(
        "condition: selection",
        "condition: selection and not selection",
    ));
    assert!(other[0].contains("never true"), "{other:?}");
}

#[test]
fn state_over_its_limit_drops_the_groups_that_were_quiet_longest() {
    let rules = compiled(&correlation(COUNT));
    let limits = Limits {
        state_bytes: 1_000,
        ..Limits::default()
    };
    let mut run = rules.start_with(None, now(), limits);
    for n in 0..200 {
        run.record(&failed(n, i64::from(n), 1, n).to_string());
    }
    let outcome = run.finish();
    assert_eq!(outcome.warnings[0].code, "rules_state_full");
    let state = outcome.state.expect("a state").to_string();
    assert!(
        state.len() <= 1_000 && state.contains("203.0.113.199"),
        "{state}"
    );
}

/// Alerts as group with first and last time.
fn spans(outcome: &Outcome) -> Vec<(String, String, String)> {
    let alerts = outcome.alerts.iter();
    alerts
        .map(|alert| {
            let group = alert.group["ClientIP"].clone();
            (group, alert.first_time.clone(), alert.last_time.clone())
        })
        .collect()
}

/// A failed sign-in of user 0, then one of user 1.
fn ordered() -> String {
    let of = |user: u32| {
        FAILED
            .replace("name: failed", &format!("name: failed{user}"))
            .replace(
                "  condition:",
                &format!("    UserId: user{user}@contoso.example\n  condition:"),
            )
    };
    let body = "  type: temporal_ordered\n  rules: [failed0, failed1]\n  group-by: [ClientIP]\n  timespan: 10m\n";
    format!(
        "{}---{}---\ntitle: Burst\nid: burst\ncorrelation:\n{body}",
        of(0),
        of(1)
    )
}

proptest! {
    /// Records in any order, repeated, and split over runs.
    #[test]
    fn split_over_runs_loses_no_alert_and_repeats_none(
        records in prop::collection::vec((0..7_200_i64, 0..4_u32, 0..2_u32), 1..60),
        order in any::<prop::sample::Index>(),
        splits in prop::collection::vec(0..5_usize, 60),
        kind in 0..3_usize,
    ) {
        let rules = compiled(&match kind {
            0 => correlation(COUNT),
            1 => correlation(VALUES),
            _ => ordered(),
        });
        let all: Vec<Value> = records.iter().zip(0_u32..)
            .map(|((second, user, address), id)| failed(id, *second, *user, *address))
            .collect();
        let whole = run(&rules, None, &all);
        let mut moved = all.clone();
        moved.rotate_left(order.index(all.len()));
        moved.reverse();
        moved.extend(all.iter().take(5).cloned());
        let reordered = run(&rules, None, &moved);
        prop_assert_eq!(&reordered.alerts, &whole.alerts);
        prop_assert_eq!(&reordered.state, &whole.state);

        let (mut state, mut given) = (None, Vec::new());
        for part in 0..5 {
            let records = all.iter().zip(&splits).filter(|(_, split)| **split == part);
            let records: Vec<Value> = records.map(|(record, _)| record.clone()).collect();
            let outcome = run(&rules, state.as_ref(), &records);
            given.extend(spans(&outcome));
            state = outcome.state;
        }
        let expected = spans(&whole);
        for (group, first, last) in &expected {
            let within = |other: &&(String, String, String)| {
                other.0 == *group && other.1 >= *first && other.2 <= *last
            };
            prop_assert!(given.iter().any(|other| within(&other)), "lost: {group} {first} {last}: {given:?}");
        }
        for (group, first, last) in &given {
            let around = |other: &&(String, String, String)| {
                other.0 == *group && other.1 <= *first && other.2 >= *last
            };
            prop_assert!(expected.iter().any(|other| around(&other)), "false: {group} {first} {last}: {expected:?}");
        }
        // The firings of two alerts of a group are more than the timespan apart.
        let mut last: Vec<(String, String)> = given.into_iter().map(|(group, _, last)| (group, last)).collect();
        last.sort();
        for pair in last.windows(2) {
            let time = |text: &str| text.parse::<DateTime<Utc>>().expect("a time").timestamp();
            prop_assert!(pair[0].0 != pair[1].0 || time(&pair[1].1) - time(&pair[0].1) > 600, "{pair:?}");
        }
    }
}
