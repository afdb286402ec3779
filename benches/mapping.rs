//! How fast records are mapped, as ratios to a validating skip of the same text in the same run.
//!
//! `cargo bench --bench mapping`. It makes its own records and needs no network; single figures of
//! one machine say little, the ratios are what counts. `mapping ROUNDS` sets the number of rounds,
//! `mapping ROUNDS NAME` runs one method alone (for counting instructions).

#![allow(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::expect_used,
    clippy::struct_field_names,
    clippy::too_many_lines,
    clippy::type_complexity,
    missing_docs,
    reason = "a benchmark prints, and its typed structs are named as the service names things"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use jsonpath_rust::parser::{model::JpQuery, parse_json_path};
use jsonpath_rust::query::js_path_process;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use soarhost::json::Document;
use soarhost::mapping::{Definition, Mapping};

const MAPPING: &str = include_str!("../mappings/purview_audit_alert_v2/fetch_event.json");

/// A small generator, the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits)
            .map(|_| char::from(b"0123456789abcdef"[usize::try_from(self.below(16)).unwrap_or(0)]))
            .collect()
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]
    }
}

fn words(random: &mut Random, count: u64) -> String {
    let known = [
        "the",
        "user",
        "signed",
        "in",
        "from",
        "an",
        "unfamiliar",
        "location",
        "größer",
        "\\\"quoted\\\"",
        "file",
        "was",
        "blocked",
        "by",
        "policy",
        "naïve",
        "\\u00e9t\\u00e9",
    ];
    (0..count)
        .map(|_| random.pick(&known))
        .collect::<Vec<_>>()
        .join(" ")
}

fn evidence(random: &mut Random) -> String {
    let common = format!(
        "\"createdDateTime\":\"2026-11-{:02}T09:{:02}:03.6066667Z\",\"verdict\":\"{}\",\"remediationStatus\":\"none\",\"remediationStatusDetails\":null,\"roles\":[],\"detailedRoles\":[\"{}\"],\"tags\":[]",
        1 + random.below(28),
        random.below(60),
        random.pick(&["suspicious", "malicious", "unknown"]),
        words(random, 2),
    );
    let (id, hash, note) = (random.hex(32), random.hex(64), words(random, 12));
    let own = match random.below(4) {
        0 => format!(
            "\"@odata.type\":\"#microsoft.graph.security.userEvidence\",\"userAccount\":{{\"accountName\":\"u{}\",\"domainName\":\"contoso\",\"userSid\":\"S-1-5-21-{}\",\"azureAdUserId\":\"{id}\",\"userPrincipalName\":\"u@contoso.example\",\"displayName\":null}}",
            random.below(1000),
            random.below(100_000)
        ),
        1 => format!(
            "\"@odata.type\":\"#microsoft.graph.security.fileEvidence\",\"detectionStatus\":\"detected\",\"fileDetails\":{{\"sha1\":\"{}\",\"sha256\":\"{hash}\",\"fileName\":\"f{}.exe\",\"filePath\":\"C:\\\\Users\\\\x\",\"fileSize\":{},\"filePublisher\":null}},\"note\":\"{note}\"",
            &hash[..40],
            random.below(500),
            random.below(9_000_000)
        ),
        2 => format!(
            "\"@odata.type\":\"#microsoft.graph.security.analyzedMessageEvidence\",\"networkMessageId\":\"{id}\",\"internetMessageId\":\"<{id}@mail.example>\",\"subject\":\"{note}\",\"recipientEmailAddress\":\"r{}@contoso.example\",\"senderIp\":\"198.51.100.{}\",\"urls\":[\"https://a.example/{id}\"],\"urlCount\":1",
            random.below(99),
            random.below(255)
        ),
        _ => format!(
            "\"@odata.type\":\"#microsoft.graph.security.processEvidence\",\"processId\":{},\"processCommandLine\":\"{note}\",\"imageFile\":{{\"sha256\":\"{hash}\",\"fileName\":\"p.exe\"}},\"userAccount\":{{\"accountName\":\"system\",\"domainName\":\"nt\"}}",
            random.below(60_000)
        ),
    };
    format!("{{{own},{common}}}")
}

fn alert(random: &mut Random) -> String {
    let evidence: Vec<String> = (0..3 + random.below(6)).map(|_| evidence(random)).collect();
    let (id, title, description) = (random.hex(36), words(random, 5), words(random, 40));
    format!(
        "{{\"id\":\"{id}\",\"providerAlertId\":\"{id}\",\"incidentId\":\"{}\",\"status\":\"new\",\"severity\":\"{}\",\"classification\":null,\"determination\":null,\"serviceSource\":\"microsoftDefenderForOffice365\",\"detectionSource\":\"antivirus\",\"productName\":\"Defender\",\"detectorId\":\"{}\",\"tenantId\":\"{}\",\"title\":\"{title}\",\"description\":\"{description}\",\"recommendedActions\":\"{}\",\"category\":\"Malware\",\"assignedTo\":null,\"alertWebUrl\":\"https://security.example/alerts/{id}\",\"incidentWebUrl\":\"https://security.example/incidents/{id}\",\"actorDisplayName\":null,\"threatDisplayName\":null,\"threatFamilyName\":null,\"mitreTechniques\":[\"T1566.002\",\"T1078\"],\"createdDateTime\":\"2026-11-01T10:00:00.1234567Z\",\"lastUpdateDateTime\":\"2026-11-01T11:00:00Z\",\"resolvedDateTime\":null,\"firstActivityDateTime\":\"2026-11-01T09:00:00Z\",\"lastActivityDateTime\":\"2026-11-01T09:30:00Z\",\"comments\":[],\"evidence\":[{}]}}",
        random.below(10_000),
        random.pick(&["high", "medium", "low"]),
        random.hex(32),
        random.hex(32),
        words(random, 20),
        evidence.join(","),
    )
}

fn page(bytes: usize) -> (String, usize) {
    let (mut random, mut records) = (Random(7), 0);
    let mut page =
        String::from("{\"@odata.context\":\"https://graph.example/$metadata\",\"value\":[");
    while page.len() < bytes {
        let comma = if records == 0 { "" } else { "," };
        let _ = write!(page, "{comma}{}", alert(&mut random));
        records += 1;
    }
    page.push_str("]}");
    (page, records)
}

/// A name and what it does; what it made is given back, so that freeing it is not measured.
type Method<'a> = (&'a str, Box<dyn Fn() -> Box<dyn Kept + 'a> + 'a>);

/// Anything.
trait Kept {}
impl<T> Kept for T {}

/// What a hand-written connector would read: the fields by name, their texts unparsed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "reading them is what is measured")]
struct Alert<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created_date_time: Option<&'a RawValue>,
    #[serde(borrow)]
    service_source: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    severity: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    detection_source: Option<&'a RawValue>,
    #[serde(borrow)]
    category: Option<&'a RawValue>,
    #[serde(borrow)]
    mitre_techniques: Option<&'a RawValue>,
    #[serde(borrow)]
    incident_id: Option<&'a RawValue>,
    #[serde(borrow)]
    first_activity_date_time: Option<&'a RawValue>,
    #[serde(borrow)]
    last_activity_date_time: Option<&'a RawValue>,
    #[serde(borrow)]
    evidence: Vec<Evidence<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "reading them is what is measured")]
struct Evidence<'a> {
    #[serde(borrow)]
    user_account: Option<Account<'a>>,
    #[serde(borrow)]
    file_details: Option<File<'a>>,
    #[serde(borrow)]
    internet_message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    recipient_email_address: Option<&'a RawValue>,
    #[serde(borrow)]
    sender_ip: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "reading them is what is measured")]
struct Account<'a> {
    #[serde(borrow)]
    account_name: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "reading them is what is measured")]
struct File<'a> {
    #[serde(borrow)]
    file_name: Option<&'a RawValue>,
    #[serde(borrow)]
    sha1: Option<&'a RawValue>,
    #[serde(borrow)]
    sha256: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "reading it is what is measured")]
struct Page<'a> {
    #[serde(borrow)]
    value: Vec<Alert<'a>>,
}

/// The same events as the mapping makes: each field's name and its JSON text.
type Fields = Vec<(&'static str, Box<RawValue>)>;

/// What the connector would make of the structs.
fn events(page: &Page<'_>) -> Vec<(String, Fields)> {
    let event = |alert: &Alert<'_>| {
        let mut fields = Fields::with_capacity(20);
        let id = alert
            .id
            .map_or("", RawValue::get)
            .trim_matches('"')
            .to_owned();
        for (name, value) in [
            ("Document ID", alert.id),
            ("Start Time", alert.created_date_time),
            ("Event Type", alert.service_source),
            ("Description", alert.description),
            ("Severity", alert.severity),
            ("Status", alert.status),
            ("Alert Name", alert.title),
            ("Source vendor product name", alert.detection_source),
            ("Event category", alert.category),
            ("Techniques", alert.mitre_techniques),
            ("Incident ID", alert.incident_id),
            ("First Activity Time", alert.first_activity_date_time),
            ("Last Activity Time", alert.last_activity_date_time),
        ] {
            fields.extend(value.map(|value| (name, value.to_owned())));
        }
        let of = |pick: &dyn Fn(&Evidence<'_>) -> Option<String>| -> Option<Box<RawValue>> {
            let found: Vec<String> = alert.evidence.iter().filter_map(pick).collect();
            let json = (!found.is_empty()).then(|| format!("[{}]", found.join(",")))?;
            RawValue::from_string(json).ok()
        };
        let text = |raw: Option<&RawValue>| raw.map(|raw| raw.get().to_owned());
        for (name, value) in [
            (
                "User Evidence",
                of(&|e| text(e.user_account.as_ref()?.account_name)),
            ),
            (
                "File Evidence",
                of(&|e| text(e.file_details.as_ref()?.file_name)),
            ),
            ("Email Evidence", of(&|e| text(e.internet_message_id))),
            ("Recipient", of(&|e| text(e.recipient_email_address))),
            ("Sender IP", of(&|e| text(e.sender_ip))),
            (
                "File Hash SHA1",
                of(&|e| text(e.file_details.as_ref()?.sha1)),
            ),
            (
                "File Hash SHA256",
                of(&|e| text(e.file_details.as_ref()?.sha256)),
            ),
        ] {
            fields.extend(value.map(|value| (name, value)));
        }
        (id, fields)
    };
    page.value.iter().map(event).collect()
}

/// The Unique Event Key is a path, or the hash of the record's content.
fn mapping(key: Option<&str>) -> Mapping {
    let mut definition = Definition::parse(MAPPING, "bench").expect("the documented mapping");
    definition.key = key.map(str::to_owned);
    Mapping::compile(definition, "bench").expect("the documented mapping")
}

fn with_library(text: &str, queries: &[JpQuery]) -> usize {
    let page: Value = serde_json::from_str(text).expect("JSON");
    let records = page["value"].as_array().expect("records");
    let found = |record| -> usize {
        queries
            .iter()
            .map(|query| js_path_process(query, record).map_or(0, |nodes| nodes.len()))
            .sum()
    };
    records.iter().map(found).sum()
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"));
    let rounds: usize = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(9);
    let only = arguments.next();
    let (text, records) = page(20 << 20);
    let document = Document::parse(&text).expect("JSON");
    let definition = Definition::parse(MAPPING, "bench").expect("the documented mapping");
    let fields = definition.sources.iter().flat_map(|source| &source.fields);
    let queries: Vec<JpQuery> = fields
        .map(|field| {
            parse_json_path(&format!("${}", field.path.as_deref().unwrap_or(""))).expect("legal")
        })
        .collect();
    let (keyed, hashed) = (mapping(Some(".id")), mapping(None));
    let map = |mapping: &Mapping, document: &Document| {
        Box::new(mapping.apply(document).expect("mapped")) as Box<dyn Kept>
    };
    let read = || Document::parse(&text).expect("JSON");
    let typed = || serde_json::from_str::<Page<'_>>(&text).expect("JSON");
    let skip = || serde_json::from_str::<IgnoredAny>(&text).expect("JSON");
    let methods: [Method<'_>; 9] = [
        ("generate only", Box::new(|| Box::new(()))),
        ("skip", Box::new(|| Box::new(skip()))),
        ("map", Box::new(|| map(&keyed, &document))),
        ("map-hash", Box::new(|| map(&hashed, &document))),
        ("read", Box::new(|| Box::new(read()))),
        ("read-map", Box::new(|| map(&keyed, &read()))),
        ("typed-read", Box::new(|| Box::new(typed()))),
        ("typed-events", Box::new(|| Box::new(events(&typed())))),
        (
            "jsonpath-rust",
            Box::new(|| Box::new(with_library(&text, &queries))),
        ),
    ];
    if let Some(name) = only {
        for (_, run) in methods.iter().filter(|(known, _)| *known == name) {
            (0..rounds).for_each(|_| {
                black_box(run());
            });
        }
        println!("{records} records, {rounds} rounds of {name}");
        return;
    }
    let mut times = vec![Vec::new(); methods.len()];
    for round in 0..rounds {
        for (n, (name, run)) in methods.iter().enumerate().skip(1) {
            if *name == "jsonpath-rust" && round >= 3 {
                continue;
            }
            let start = Instant::now();
            let made = black_box(run());
            times[n].push(start.elapsed().as_secs_f64());
            drop(made);
        }
    }
    report(&methods.map(|(name, _)| name), &mut times, (&text, records));
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn report(names: &[&str], times: &mut [Vec<f64>], (text, records): (&str, usize)) {
    println!(
        "{records} alerts, {:.1} MB, 20 fields, medians",
        text.len() as f64 / 1e6
    );
    println!(
        "{:<16}{:>10}{:>14}{:>16}",
        "method", "MB/s", "records/s", "speed : skip"
    );
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let skip = median(&mut times[1]);
    for (name, times) in names.iter().zip(times).skip(1) {
        let time = median(times);
        println!(
            "{name:<16}{:>10.0}{:>14.0}{:>16.2}",
            text.len() as f64 / 1e6 / time,
            records as f64 / time,
            skip / time
        );
    }
    println!(
        "skip: serde_json validates and keeps nothing. map: the document was read before, keys are"
    );
    println!("ids. map-hash: keys are content hashes. read: Document::parse. read-map: both.");
}
