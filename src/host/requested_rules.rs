//! The detection rules of a request: names of rules of the catalog, texts, or all of the catalog.
//!
//! They are compiled before anything is sent. Each fault has its place in the request.

use crate::host::Checked;
use crate::host::catalog::Catalog;
use crate::manifest::{Bound, CommandSpec, Outputs};
use crate::ops::Reply;
use crate::output;
use crate::protocol::{Failure, State, Watch, state};
use crate::rules::{Alert, Limits, RuleFault, RuleSet, RuleText};

/// The size of the member of a state that holds what rules remember, without its value.
const MEMBER: usize = ",\"rules\":".len();

/// True for the text of a rule, which has several lines. Otherwise it is a rule's name.
pub(super) fn is_inline(rule: &str) -> bool {
    rule.trim_end().contains('\n')
}

/// The compiled rules; `None` if the command evaluates none.
pub(super) fn compiled(
    catalog: &Catalog,
    command: &CommandSpec,
    bound: &Bound,
) -> Result<Option<Box<RuleSet>>, Failure> {
    if command.outputs.rules.is_none() {
        return Ok(None);
    }
    let (texts, mut faults) = match &bound.rules {
        None => (catalog.rules(), Vec::new()),
        Some(selected) => texts(catalog, selected, bound.input_place(Outputs::RULES)),
    };
    let compiled = RuleSet::compile(&texts).map_err(RuleFault::join);
    let compiled = compiled.map_err(|failure| faults.push(failure));
    Failure::join(faults).map_or(Ok(compiled.ok().map(Box::new)), Err)
}

/// The texts of the selected rules, each once, and a fault for each unknown name.
fn texts<'a>(
    catalog: &'a Catalog,
    selected: &'a [String],
    at: &str,
) -> (Vec<RuleText<'a>>, Vec<Failure>) {
    let (mut texts, mut faults) = (Vec::<RuleText<'a>>::new(), Vec::new());
    for (n, rule) in selected.iter().enumerate() {
        let place = format!("{at}/{n}");
        let found = if is_inline(rule) {
            Ok(RuleText::inline(place, rule.as_str()))
        } else {
            catalog.rule(rule).map_err(|unknown| unknown.at(place))
        };
        match found {
            Ok(text) if texts.iter().any(|known| known.place == text.place) => {}
            Ok(text) => texts.push(text),
            Err(fault) => faults.push(fault),
        }
    }
    (texts, faults)
}

impl Checked<'_> {
    /// Evaluates the rules on the records of the reply, and adds what they remember to its state: both
    /// are committed together, so no alert is lost with a result. A command without rules passes on
    /// what they remember.
    pub(super) fn evaluate_rules(
        &self,
        reply: &mut Reply,
        watch: Watch<'_>,
    ) -> Result<Option<Vec<Alert>>, Failure> {
        let saved = self.state.as_ref().filter(|_| !reply.ignores_state);
        let saved = saved.and_then(|state| state.rules.as_ref());
        let Some(rules) = &self.rules else {
            if let Some(state) = &mut reply.state {
                state.rules = saved.cloned();
            }
            return Ok(None);
        };
        let size = reply.state.as_ref().map_or(0, State::size);
        let limits = Limits {
            state_bytes: match self.envelope.options.state_key {
                Some(_) => Limits::default().state_bytes,
                None => state::MAX_BYTES.saturating_sub(size + MEMBER),
            },
            ..Limits::default()
        };
        let run = rules.start_with(saved, self.now, limits);
        let outcome = output::evaluate(&reply.raw, run, watch)?;
        if let Some(state) = &mut reply.state {
            state.rules = outcome.state;
        }
        reply.warnings.extend(outcome.warnings);
        Ok(Some(outcome.alerts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_text_has_several_lines() {
        assert!(is_inline("title: x\ndetection: {}\n"));
        assert!(!is_inline("suspicious_inbox_rule\n"));
    }
}
