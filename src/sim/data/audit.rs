//! The records of generated blobs. They are generated at each download. Each record has a number
//! among all records of its entry; its content depends on the seed, the tenant, the content type,
//! the entry and the number only. So nothing is stored, and a repeat is found by its number.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};

use crate::sim::data::audit_template::{Subject, Template, Values};
use crate::sim::data::content_store::created;
use crate::sim::ids::Ids;
use crate::sim::world::content::GeneratedContent;

/// For whom records are generated.
pub(crate) struct RecordContext<'a> {
    pub(crate) ids: &'a Ids,
    /// When the simulator was started.
    pub(crate) begin: DateTime<Utc>,
    /// The tenant's GUID, lower case.
    pub(crate) tenant: &'a str,
    /// The tenant's domain.
    pub(crate) domain: &'a str,
    /// Whether matched values are shown.
    pub(crate) detected: bool,
}

/// The records of one entry of generated content.
pub(crate) struct Records<'a> {
    record_context: &'a RecordContext<'a>,
    entry: &'a GeneratedContent,
    templates: &'static [Template],
    seed: [u8; 32],
    padding: String,
}

impl<'a> Records<'a> {
    /// The records of the entry with a number.
    pub(crate) fn new(
        record_context: &'a RecordContext<'a>,
        entry: &'a GeneratedContent,
        at: usize,
    ) -> Self {
        let parts = [
            "audit record",
            record_context.tenant,
            &entry.content_type,
            &at.to_string(),
        ];
        let digest = record_context.ids.digest(&parts);
        let mut seed = [0; 32];
        seed.copy_from_slice(digest.as_ref());
        Self {
            record_context,
            entry,
            templates: templates(&entry.content_type),
            seed,
            padding: Values::new(seed, u64::MAX).words(entry.record_bytes.unwrap_or(0)),
        }
    }

    /// The body of the blob with a number.
    pub(crate) fn blob(&self, number: usize) -> String {
        let each = self.entry.record_bytes.unwrap_or(0).max(1400);
        let mut text = String::with_capacity(each * self.entry.records + 2);
        text.push('[');
        for at in 0..self.entry.records {
            if at > 0 {
                text.push(',');
            }
            self.write(number * self.entry.records + at, &mut text);
        }
        text.push(']');
        text
    }

    /// Appends the record with a number.
    fn write(&self, place: usize, text: &mut String) {
        let place = self.original(place);
        let mut values = Values::new(self.seed, place as u64);
        let subject = Subject {
            tenant: self.record_context.tenant,
            domain: self.record_context.domain,
            time: self.time(place, &mut values),
            detected: self.record_context.detected,
        };
        let template = values.random.index(self.templates.len());
        let start = text.len();
        let gap = self.templates[template].fill(&mut values, &subject, text);
        let lacking = self.padding.len().saturating_sub(text.len() - start);
        text.insert_str(gap, &self.padding[..lacking]);
    }

    /// The number of the record that is repeated at a number, or the number itself. Repeats are
    /// distributed evenly over all records after the first blob.
    fn original(&self, place: usize) -> usize {
        let records = self.entry.records;
        let later = (self.entry.blobs * records).saturating_sub(records).max(1);
        let before = |at: usize| at as u128 * self.entry.repeats() as u128 / later as u128;
        let mut place = place;
        while let Some(at) = place.checked_sub(records) {
            if before(at + 1) == before(at) {
                break;
            }
            // Random numbers of a stream that no record uses. The result can be a repeat itself,
            // hence the loop.
            let mut values = Values::new(self.seed, !(place as u64));
            place = values.random.index(place - place % records);
        }
        place
    }

    /// When the record was created: before its blob, alternately earlier and later, so that a blob
    /// is never in the order of time.
    fn time(&self, place: usize, values: &mut Values) -> DateTime<Utc> {
        let records = self.entry.records;
        let available = created(self.entry, place / records, self.record_context.begin);
        let minutes = if (place % records).is_multiple_of(2) {
            5
        } else {
            40
        };
        let seconds = values.random.below(1800).cast_signed();
        available - TimeDelta::minutes(minutes) - TimeDelta::seconds(seconds)
    }
}

/// The templates of a content type, each as often as its weight says.
fn templates(content_type: &str) -> &'static [Template] {
    static TEMPLATES: LazyLock<HashMap<&str, Vec<Template>>> =
        LazyLock::new(|| parse(include_str!("audit_records.txt")));
    TEMPLATES.get(content_type).map_or(&[], Vec::as_slice)
}

/// Parses `[content type]` and `weight template` lines; those that begin with `#` are comments.
fn parse(text: &'static str) -> HashMap<&'static str, Vec<Template>> {
    let mut templates = HashMap::new();
    let mut content_type = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            content_type = name.trim_end_matches(']');
        } else if let Some((weight, template)) = line.split_once(' ') {
            let of_type: &mut Vec<Template> = templates.entry(content_type).or_default();
            let weight = weight.parse().unwrap_or(1);
            of_type.extend((0..weight).map(|_| Template::parse(template)));
        }
    }
    templates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::world::content::CONTENT_TYPES;
    use serde_json::Value;
    use serde_json::value::RawValue;
    use std::collections::{HashMap, HashSet};

    const NOW: &str = "2026-01-14T12:00:00Z";

    fn record_context<'a>(ids: &'a Ids, tenant: &'a str) -> RecordContext<'a> {
        RecordContext {
            ids,
            begin: NOW.parse().unwrap(),
            tenant,
            domain: "contoso.onmicrosoft.com",
            detected: false,
        }
    }

    fn entry(content_type: &str, members: &str) -> GeneratedContent {
        serde_json::from_str(&format!(r#"{{"type":"{content_type}",{members}}}"#)).unwrap()
    }

    fn raw(text: &str) -> Vec<Box<RawValue>> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn repeats_are_byte_identical_and_as_many_as_configured() {
        let ids = Ids::new(1);
        let record_context = record_context(&ids, "t");
        let entry = entry(
            "Audit.Exchange",
            r#""blobs":40,"records":7,"repeated_percent":25"#,
        );
        let records = Records::new(&record_context, &entry, 0);
        let mut first: HashMap<String, (usize, String)> = HashMap::new();
        let mut repeats = 0;
        for number in 0..40 {
            for text in raw(&records.blob(number)) {
                let value: Value = serde_json::from_str(text.get()).unwrap();
                let id = value["Id"].as_str().unwrap().to_owned();
                let known = first.entry(id).or_insert((number, text.get().to_owned()));
                if known.0 < number {
                    repeats += 1;
                }
                assert_eq!(known.1, text.get());
            }
        }
        assert_eq!((repeats, first.len()), (70, 210));
        assert_eq!(entry.repeats(), 70);
    }

    #[test]
    fn records_are_not_in_order_and_precede_their_blob() {
        let ids = Ids::new(1);
        let record_context = record_context(&ids, "t");
        for name in CONTENT_TYPES {
            let entry = entry(name, r#""blobs":3,"records":4"#);
            let records = Records::new(&record_context, &entry, 0);
            for number in 0..3 {
                let values: Vec<Value> = serde_json::from_str(&records.blob(number)).unwrap();
                let time = |value: &Value| value["CreationTime"].as_str().unwrap()[..19].to_owned();
                let times: Vec<String> = values.iter().map(time).collect();
                assert!(!times.is_sorted(), "{times:?}");
                let available = created(&entry, number, record_context.begin).to_rfc3339();
                assert!(times.iter().all(|time| *time < available), "{times:?}");
            }
        }
    }

    #[test]
    fn records_differ_by_seed_tenant_and_entry() {
        let entry = entry("Audit.General", r#""blobs":2"#);
        let mut bodies = HashSet::new();
        for (seed, tenant, at) in [(1, "t", 0), (2, "t", 0), (1, "u", 0), (1, "t", 1)] {
            let ids = Ids::new(seed);
            let record_context = record_context(&ids, tenant);
            let body = Records::new(&record_context, &entry, at).blob(0);
            assert_eq!(body, Records::new(&record_context, &entry, at).blob(0));
            bodies.insert(body);
        }
        assert_eq!(bodies.len(), 4);
    }

    #[test]
    fn padded_record_has_its_size_and_is_valid() {
        let ids = Ids::new(1);
        let record_context = record_context(&ids, "t");
        for name in CONTENT_TYPES {
            let entry = entry(name, r#""blobs":2,"records":20,"record_bytes":20000"#);
            for text in raw(&Records::new(&record_context, &entry, 0).blob(1)) {
                assert_eq!(text.get().len(), 20_000);
            }
        }
    }

    #[test]
    fn times_and_numbers_have_several_formats() {
        let ids = Ids::new(1);
        let record_context = record_context(&ids, "t");
        let entry = entry("Audit.AzureActiveDirectory", r#""blobs":1,"records":200"#);
        let text = Records::new(&record_context, &entry, 0).blob(0);
        let values: Vec<Value> = serde_json::from_str(&text).unwrap();
        let times: Vec<&str> = values
            .iter()
            .filter_map(|value| value["CreationTime"].as_str())
            .collect();
        let count = |test: &dyn Fn(&&&str) -> bool| times.iter().filter(test).count();
        assert!(count(&|time| time.len() == 19) > 100);
        assert!(count(&|time| time.ends_with('Z')) > 10 && count(&|time| time.contains('.')) > 10);
        assert!(text.contains(r#""RecordType":"15""#) && text.contains(r#""RecordType":8"#));
        assert!(text.contains("LogonError") && text.contains("PP_E_BAD_PASSWORD"));
    }

    #[test]
    fn filled_template_is_a_record() {
        let all = CONTENT_TYPES.iter().flat_map(|name| templates(name));
        for (at, template) in all.enumerate() {
            for number in 0..40 {
                let subject = Subject {
                    tenant: "11111111-2222-3333-4444-555555555555",
                    domain: "contoso.onmicrosoft.com",
                    time: "2026-01-14T12:00:00Z".parse().unwrap(),
                    detected: number % 2 == 0,
                };
                let mut text = String::new();
                let place = template.fill(&mut Values::new([7; 32], number), &subject, &mut text);
                text.insert_str(place, "PADDING");
                let record: Value = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{at}: {error}: {text}"));
                let names = "CreationTime Id Operation OrganizationId RecordType UserType UserKey \
                             Workload UserId";
                for name in names.split_whitespace() {
                    assert!(record.get(name).is_some(), "{at} has no {name}");
                }
                let strings = record.to_string();
                assert!(place > 1 && strings.contains("PADDING"), "{at}: {strings}");
                assert!(!text.contains('%'), "{at}: {text}");
            }
        }
    }
}
