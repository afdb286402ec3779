//! The interface of rules in a build without the feature `rules`: every rule is a fault.
//! Reads no text, and has no state.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::rules::{Limits, Outcome, RuleFault, RuleText};

/// No rules.
#[derive(Debug)]
pub struct RuleSet(());

impl RuleSet {
    /// Rejects every text.
    pub fn compile(texts: &[RuleText<'_>]) -> Result<Self, Vec<RuleFault>> {
        let why = "This build of soarhost cannot evaluate rules.";
        let fault = |text| {
            RuleFault::error(text, why)
                .advice("Use a build with the feature `rules`, or send no rules.")
        };
        match texts {
            [] => Ok(RuleSet(())),
            texts => Err(texts.iter().map(fault).collect()),
        }
    }

    /// Rejects every text.
    pub fn check(texts: &[RuleText<'_>]) -> Vec<RuleFault> {
        RuleSet::compile(texts).err().unwrap_or_default()
    }

    /// The number of rules: none.
    pub fn len(&self) -> usize {
        0
    }

    /// Are there no rules?
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Starts a run.
    pub fn start(&self, saved: Option<&Value>, now: DateTime<Utc>) -> Evaluation<'_> {
        self.start_with(saved, now, Limits::default())
    }

    /// Starts a run with other limits.
    pub fn start_with(&self, _: Option<&Value>, _: DateTime<Utc>, _: Limits) -> Evaluation<'_> {
        Evaluation(PhantomData)
    }
}

/// A run without rules.
#[derive(Debug)]
pub struct Evaluation<'a>(PhantomData<&'a RuleSet>);

impl Evaluation<'_> {
    /// Ignores a record.
    pub fn record(&mut self, _: &str) {}

    /// Finds nothing.
    pub fn finish(self) -> Outcome {
        Outcome::default()
    }
}
