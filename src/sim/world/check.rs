//! Rules for the values of a world file, beyond their types. They are applied to the JSON and not
//! to [`World`], so that all invalid values are found at once, each with its JSON Pointer. Types,
//! missing members and unknown names are checked by serde and the schema; a rule skips values of
//! other types.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use crate::sim::ids::is_guid;
use crate::sim::server::routes::Route;
use crate::sim::world::World;
use crate::sim::world::apps::der;
use crate::sim::world::content::CONTENT_TYPES;

/// Numbers: path, minimum and maximum. `*` in a path stands for
/// every element of an array and for every member of an object.
const RANGES: [(&str, u64, u64); 19] = [
    ("/world", 1, 1),
    ("/page_size", 1, u64::MAX),
    ("/content_page_size", 1, u64::MAX),
    ("/device_sign_in/interval_seconds", 0, 300),
    ("/alerts/per_hour", 0, HIGHEST_RATE),
    ("/content/generated/*/blobs", 0, 1_000_000),
    ("/content/generated/*/records", 0, 100_000),
    ("/content/generated/*/hours", 1, 4320),
    ("/content/generated/*/repeated_percent", 0, 100),
    ("/content/generated/*/record_bytes", 0, 16 << 20),
    ("/content/generated/*/per_hour", 0, HIGHEST_RATE),
    ("/content/story/records", 0, 100_000),
    ("/audit_queries/page_size", 1, u64::MAX),
    ("/audit_queries/concurrent", 1, u64::MAX),
    ("/exchange/session_rows", 1, 50_000),
    ("/exchange/page_rows", 1, 5_000),
    ("/exchange/odd_pages/*/page", 1, u64::MAX),
    ("/exchange/odd_pages/*/times", 1, u64::MAX),
    ("/faults/*/status", 200, 599),
];

/// The most arrivals in an hour: ten a second.
const HIGHEST_RATE: u64 = 36_000;

const GUIDS: [&str; 4] = [
    "/tenants/*/id",
    "/apps/*/id",
    "/managed_identities/*/client_id",
    "/managed_identities/*/tenant",
];

/// Names of content types; subscriptions are a list, or a list for each tenant.
const TYPES: [&str; 4] = [
    "/subscriptions/*/content_type",
    "/subscriptions/*/*/content_type",
    "/content/generated/*/type",
    "/content/blobs/*/type",
];

const TIMES: [&str; 5] = [
    "/now",
    "/apps/*/secrets/*/expires",
    "/alerts/updates/*/at",
    "/content/blobs/*/created",
    "/content/blobs/*/expires",
];

/// Lists whose elements are numbered with four digits in ids.
const LISTS: [&str; 2] = ["/content/generated", "/content/blobs"];

/// The most elements of such a list.
const LONGEST_LIST: usize = 5000;

/// The members of a fault of which exactly one is given.
const ACTIONS: [&str; 6] = [
    "status",
    "truncate",
    "delay_ms",
    "reset",
    "replace",
    "expire_token",
];

/// The longest part of a text that is quoted, in characters.
const QUOTED: usize = 60;

/// A value of a world file that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    /// JSON Pointer of the value.
    pub pointer: String,
    /// What is allowed and what was given, such as `must be a GUID; got "x"`.
    pub message: String,
}

/// Every invalid value of a world file.
pub(super) fn invalid_values(world: &Value) -> Vec<InvalidValue> {
    let mut check = Check {
        world,
        invalid: vec![],
    };
    check.scalars();
    check.choices();
    check.apps();
    check.content();
    check.faults();
    check.invalid
}

struct Check<'a> {
    world: &'a Value,
    invalid: Vec<InvalidValue>,
}

impl<'a> Check<'a> {
    fn add(&mut self, pointer: &str, message: String) {
        let pointer = pointer.to_owned();
        self.invalid.push(InvalidValue { pointer, message });
    }

    /// The values at a path, each with its JSON Pointer; null counts as left out.
    fn values(&self, path: &str) -> Vec<(String, &'a Value)> {
        let mut found = vec![(String::new(), self.world)];
        for step in path.split('/').skip(1) {
            let next = found.iter().flat_map(|(at, value)| below(at, value, step));
            found = next.collect();
        }
        found.retain(|(_, value)| !value.is_null());
        found
    }

    /// Reports each text at a path that is not allowed.
    fn texts(&mut self, path: &str, allowed: &str, rule: impl Fn(&str) -> bool) {
        for (at, value) in self.values(path) {
            if value.as_str().is_some_and(|text| !rule(text)) {
                self.add(&at, format!("must be {allowed}; got {}", quoted(value)));
            }
        }
    }

    fn scalars(&mut self) {
        for (path, least, most) in RANGES {
            let allowed = match most {
                u64::MAX => format!("a whole number, {least} or more"),
                _ if least == most => least.to_string(),
                _ => format!("a whole number from {least} to {most}"),
            };
            for (at, value) in self.values(path) {
                let number = value.as_u64();
                if number.is_none_or(|number| !(least..=most).contains(&number)) {
                    self.add(&at, format!("must be {allowed}; got {}", quoted(value)));
                }
            }
        }
        for path in GUIDS {
            self.texts(path, "a GUID", is_guid);
        }
        for path in TIMES {
            let allowed = "a time such as 2026-01-14T12:00:00Z";
            let rule = |text: &str| text.parse::<DateTime<Utc>>().is_ok();
            self.texts(path, allowed, rule);
        }
    }

    fn choices(&mut self) {
        let allowed = format!("one of {}", CONTENT_TYPES.join(", "));
        for path in TYPES {
            self.texts(path, &allowed, |text| CONTENT_TYPES.contains(&text));
        }
        let routes = Route::names();
        let allowed = format!("one of {}", routes.join(", "));
        self.texts("/faults/*/route", &allowed, |text| routes.contains(&text));
        for (at, value) in self.values("/alerts/expired_links") {
            let number = value.as_u64();
            if number.is_some_and(|status| ![400, 404, 410].contains(&status)) {
                self.add(&at, format!("must be one of 400, 404, 410; got {value}"));
            }
        }
        for (at, alert) in self.values("/alerts/literal/*") {
            if !alert.is_object() {
                self.add(&at, format!("must be an object; got {}", quoted(alert)));
            }
        }
        let alerts = &self.world["alerts"];
        if !alerts["count"].is_null() && !alerts["literal"].is_null() {
            self.add("/alerts/count", excluded_by("literal"));
        }
    }

    fn apps(&mut self) {
        let usual = World::default().tenants;
        let usual = usual.iter().map(|tenant| tenant.id.as_str());
        let listed = self.values("/tenants/*/id");
        let tenants: Vec<&str> = match self.world.get("tenants") {
            None => usual.collect(),
            Some(_) => listed.iter().filter_map(|(_, id)| id.as_str()).collect(),
        };
        self.texts("/apps/*/tenant", "the `id` of one of `tenants`", |id| {
            tenants.iter().any(|tenant| tenant.eq_ignore_ascii_case(id))
        });
        for (at, value) in self.values("/apps/*/certificates/*") {
            // The text is not quoted: it can be a private key.
            if value.as_str().is_some_and(|pem| der(pem).is_err()) {
                self.add(&at, "must be a certificate in PEM".to_owned());
            }
        }
        let rule = |text: &str| text.parse::<NaiveDate>().is_ok();
        self.texts("/content/story/day", "a day such as 2026-01-13", rule);
        let allowed = "a sign-in name such as ada@contoso.onmicrosoft.com";
        self.texts("/device_sign_in/user", allowed, |name| {
            name.split_once('@')
                .is_some_and(|(user, domain)| !user.is_empty() && domain.contains('.'))
        });
        self.texts("/apps/*/codes/*/code", "text that is not empty", |code| {
            !code.is_empty()
        });
    }

    fn content(&mut self) {
        for (at, list) in LISTS.map(|path| self.values(path)).into_iter().flatten() {
            let length = list.as_array().map_or(0, Vec::len);
            if length > LONGEST_LIST {
                let message = format!("must have {LONGEST_LIST} elements at most; got {length}");
                self.add(&at, message);
            }
        }
        for (at, entry) in self.values("/content/generated/*") {
            let number = |name: &str| entry[name].as_u64().unwrap_or(0);
            let (lost, blobs) = (
                number("expired").saturating_add(number("missing")),
                number("blobs"),
            );
            if entry["blobs"].is_u64() && lost > blobs {
                let message = format!(
                    "must be {lost} or more, `expired` and `missing` together; got {blobs}"
                );
                self.add(&format!("{at}/blobs"), message);
            }
        }
        let path = "/content/blobs/*/id";
        let rule = |id: &str| !id.is_empty() && !id.contains('/');
        self.texts(path, "text that is not empty, without `/`", rule);
        let ids = self.values(path);
        for (number, (at, id)) in ids.iter().enumerate() {
            if ids[..number].iter().any(|(_, earlier)| earlier == id) {
                let message = format!("must be the id of one blob only; got {} again", quoted(id));
                self.add(at, message);
            }
        }
        for (at, blob) in self.values("/content/blobs/*") {
            let records = blob["records"].as_array();
            if records.is_some_and(|records| !records.is_empty()) && !blob["body"].is_null() {
                self.add(&format!("{at}/body"), excluded_by("records"));
            }
            if blob["expired"] == true && blob["missing"] == true {
                self.add(&format!("{at}/missing"), excluded_by("expired"));
            }
        }
    }

    fn faults(&mut self) {
        for (at, fault) in self
            .values("/faults/*")
            .into_iter()
            .filter(|(_, fault)| fault.is_object())
        {
            let given = |name: &&str| !fault[*name].is_null() && fault[*name] != false;
            let actions: Vec<&str> = ACTIONS.into_iter().filter(given).collect();
            if actions.len() != 1 {
                let got = if actions.is_empty() {
                    "none".to_owned()
                } else {
                    actions.join(", ")
                };
                let message = format!("must have exactly one of {}; got {got}", ACTIONS.join(", "));
                self.add(&at, message);
            }
            if given(&"nth") && given(&"times") {
                self.add(&format!("{at}/times"), excluded_by("nth"));
            }
            for name in ["nth", "times"] {
                let got = &fault[name];
                let is_empty = got.as_array().is_some_and(Vec::is_empty);
                let holds_zero = got
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| *one == 0));
                if *got == 0 || is_empty || holds_zero {
                    let message = format!("must count from 1; got {got}");
                    self.add(&format!("{at}/{name}"), message);
                }
            }
            let headers = fault["headers"].as_object();
            let headers = headers.is_some_and(|headers| !headers.is_empty());
            for (name, is_given) in [("body", !fault["body"].is_null()), ("headers", headers)] {
                if is_given && !given(&"status") {
                    let message = "must be left out unless `status` is given".to_owned();
                    self.add(&format!("{at}/{name}"), message);
                }
            }
        }
    }
}

fn excluded_by(other: &str) -> String {
    format!("must be left out if `{other}` is given")
}

fn below<'a>(at: &str, value: &'a Value, step: &str) -> Vec<(String, &'a Value)> {
    let place = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Array(elements) if step == "*" => {
            let numbered = elements.iter().enumerate();
            numbered
                .map(|(n, one)| (place(&n.to_string()), one))
                .collect()
        }
        Value::Object(members) if step == "*" => {
            let named = members.iter();
            named.map(|(name, one)| (place(name), one)).collect()
        }
        _ => value
            .get(step)
            .map(|one| (place(step), one))
            .into_iter()
            .collect(),
    }
}

/// A value as a message quotes it.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > QUOTED => {
            let start: String = text.chars().take(QUOTED).collect();
            format!("{}…", Value::String(start))
        }
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => scalar.to_string(),
    }
}
