//! The state of correlations: compact form and limits. Alerts about single records need no state:
//! they cannot be given twice, because collecting delivers a record once.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsigma_eval::GroupKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::Warning;
use crate::rules::burst::{Group, Hit, LONGEST, Span, quiet_time, seconds};
use crate::rules::record_id::{RecordId, put, take};
use crate::rules::{Limits, RuleSet};

/// The groups of all correlations, by the correlation's place in the set.
pub(super) type Groups = BTreeMap<(usize, Vec<Option<String>>), Group>;

/// The version of the saved form.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    /// The time of the newest hit, in seconds.
    newest: i64,
    groups: Vec<SavedGroup>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedGroup {
    rule: String,
    by: Vec<Option<String>>,
    /// The time of the first hit.
    from: i64,
    /// Base64 of the hits: seconds after the hit before, place of the rule in the correlation's list,
    /// record id, and 0 or the place of the value plus one.
    hits: String,
    /// The values that are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<Box<str>>,
    /// First and last firing of each alert.
    alerted: Vec<Span>,
}

/// Reads the state of an earlier run. Groups of unknown rules are dropped with a warning.
pub(super) fn read(value: &Value, rules: &RuleSet) -> (Groups, i64, Option<Warning>) {
    let saved = Saved::deserialize(value).ok();
    let Some(saved) = saved.filter(|saved| saved.version == VERSION) else {
        let message = "The state of the rules cannot be read. Correlations start without it.";
        let warning = Warning::new("rules_state_ignored", message);
        return (Groups::new(), i64::MIN, Some(warning));
    };
    let (mut groups, mut dropped) = (Groups::new(), 0_u64);
    for group in saved.groups {
        let mut known = rules.correlators.iter();
        let Some(place) = known.position(|one| one.header.id == group.rule) else {
            dropped += 1;
            continue;
        };
        let Some(hits) = unpack(&group) else {
            dropped += 1;
            continue;
        };
        let mut alerted = group.alerted;
        alerted.retain(|(from, to)| is_possible(*from) && is_possible(*to));
        let read = Group { hits, alerted };
        groups.insert((place, group.by), read);
    }
    let warning = (dropped > 0).then(|| {
        let message = format!(
            "The state has {dropped} groups of correlations that cannot be read, or that are not among the rules of this run. They are dropped."
        );
        Warning::new("rules_state_ignored", message)
    });
    (groups, saved.newest.clamp(-LONGEST, LONGEST), warning)
}

/// A state comes back from a caller: its times must not make sums overflow.
fn is_possible(time: i64) -> bool {
    (-LONGEST..LONGEST).contains(&time)
}

/// Drops what is older than the limits, and packs the groups. Over the size limit, the groups
/// with the oldest last hit are dropped.
pub(super) fn write(
    groups: Groups,
    newest: i64,
    rules: &RuleSet,
    limits: Limits,
) -> (Option<Value>, Option<Warning>) {
    let mut kept: Vec<(i64, SavedGroup)> = Vec::new();
    for ((place, by), mut group) in groups {
        let Some(correlator) = rules.correlators.get(place) else {
            continue;
        };
        let rule = &correlator.rule;
        let reach = seconds(rule.timespan_secs).max(quiet_time(rule));
        group.prune(
            rule,
            newest.saturating_sub(reach).saturating_sub(limits.lateness),
        );
        if !group.is_empty() {
            let last = group.last_time();
            kept.push((last, pack(&correlator.header.id, by, group)));
        }
    }
    kept.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
    let (mut bytes, mut saved, mut dropped) = (64, Vec::new(), 0_u64);
    for (_, group) in kept {
        bytes += serde_json::to_string(&group).map_or(0, |text| text.len() + 1);
        if bytes > limits.state_bytes {
            dropped += 1;
        } else {
            saved.push(group);
        }
    }
    let warning = (dropped > 0).then(|| {
        let message = format!(
            "The state of the rules would exceed {} bytes. {dropped} groups without recent records are dropped, so correlations can miss records of earlier runs. With `options.state_key`, the limit is 4 MiB.",
            limits.state_bytes
        );
        Warning::new("rules_state_full", message)
    });
    if saved.is_empty() {
        return (None, warning);
    }
    saved.sort_by(|a, b| (&a.rule, &a.by).cmp(&(&b.rule, &b.by)));
    let saved = Saved {
        version: VERSION,
        newest,
        groups: saved,
    };
    (serde_json::to_value(saved).ok(), warning)
}

/// Packs a group with sorted hits.
fn pack(rule: &str, by: Vec<Option<String>>, group: Group) -> SavedGroup {
    let from = group.hits.first().map_or(0, |hit| hit.time);
    let (mut bytes, mut before) = (Vec::new(), from);
    let mut places: HashMap<Box<str>, u64> = HashMap::new();
    let mut values = Vec::new();
    for hit in group.hits {
        put(hit.time.abs_diff(before), &mut bytes);
        put(hit.rule.into(), &mut bytes);
        hit.id.pack(&mut bytes);
        let place = hit.value.map_or(0, |value| {
            *places.entry(value).or_insert_with_key(|value| {
                values.push(value.clone());
                values.len() as u64
            })
        });
        put(place, &mut bytes);
        before = hit.time;
    }
    SavedGroup {
        rule: rule.to_owned(),
        by,
        from,
        hits: URL_SAFE_NO_PAD.encode(bytes),
        values,
        alerted: group.alerted,
    }
}

/// The hits of a group. `None` if they are not what `pack` writes.
fn unpack(group: &SavedGroup) -> Option<Vec<Hit>> {
    let bytes = URL_SAFE_NO_PAD.decode(&group.hits).ok()?;
    let (mut rest, mut time, mut hits) = (bytes.as_slice(), group.from, Vec::new());
    while !rest.is_empty() {
        time = time.checked_add_unsigned(take(&mut rest)?)?;
        let rule = u16::try_from(take(&mut rest)?).ok()?;
        let id = RecordId::unpack(&mut rest)?;
        let place = usize::try_from(take(&mut rest)?).ok()?;
        let value = match place.checked_sub(1) {
            Some(place) => Some(group.values.get(place)?.clone()),
            None => None,
        };
        hits.push(Hit {
            time: Some(time).filter(|time| is_possible(*time))?,
            rule,
            id,
            value,
        });
    }
    Some(hits)
}

/// The key of a group: the values of the fields that a correlation groups by. `None` if a value is
/// missing or empty.
pub(super) fn group_values(key: GroupKey) -> Option<Vec<Option<String>>> {
    let is_missing = |value: &Option<String>| value.as_ref().is_none_or(String::is_empty);
    (!key.0.iter().any(is_missing)).then_some(key.0)
}
