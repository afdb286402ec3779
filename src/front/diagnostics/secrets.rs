//! Where a request or a file of profiles could hold secrets.
//!
//! A value is shown only if it belongs to a parameter that the catalog knows and that is not secret.
//! So the secret of a misspelt parameter is not shown either.

use std::ops::Range;

use crate::front::diagnostics::kind::Kind;
use crate::host::catalog::Catalog;
use crate::json::document::{elements, members};
use crate::manifest::Param;
use crate::names::alike;
use crate::protocol::envelope::Envelope;
use crate::protocol::field_names;

/// The content of each value that could be a secret, in bytes of the text, in their order.
pub(super) fn secrets(text: &str, kind: Kind, catalog: &Catalog) -> Vec<Range<usize>> {
    let mut walk = Walk {
        text,
        public: Vec::new(),
        hidden: Vec::new(),
    };
    if !kind.can_hold_secrets() {
        return walk.hidden;
    }
    let manifests = catalog.manifests().unwrap_or_default();
    let params = manifests.iter().flat_map(|manifest| {
        let inputs = manifest.commands.iter().flat_map(|command| &command.inputs);
        manifest.connection.iter().chain(inputs)
    });
    let (secret, public): (Vec<&Param>, Vec<&Param>) = params.partition(|param| param.secret);
    let has = |list: &[&Param], name: &str| {
        let mut names = list.iter().flat_map(|param| param.names());
        names.any(|known| alike(known, name))
    };
    walk.public = public.iter().flat_map(|param| param.names()).collect();
    walk.public.retain(|name| !has(&secret, name));
    match kind {
        Kind::Profiles => walk.profiles(),
        _ => walk.request(text.trim()),
    }
    walk.hidden
}

struct Walk<'a> {
    text: &'a str,
    /// The names of parameters that are not secret.
    public: Vec<&'a str>,
    hidden: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn request(&mut self, object: &str) {
        for member in members(object).unwrap_or_default() {
            match &*member.name() {
                "connection" | "inputs" => self.parameters(member.value()),
                name if field_names::<Envelope>().contains(&name) && name != "meta" => {}
                _ => self.hide(member.value()),
            }
        }
    }

    fn profiles(&mut self) {
        for member in members(self.text.trim()).unwrap_or_default() {
            let profiles = members(member.value()).unwrap_or_default();
            let each = profiles
                .iter()
                .flat_map(|one| members(one.value()).unwrap_or_default());
            for part in each {
                match &*part.name() {
                    "integration" => {}
                    "params" => self.parameters(part.value()),
                    _ => self.hide(part.value()),
                }
            }
        }
    }

    /// Parameters by name. A text is the name of a profile.
    fn parameters(&mut self, object: &str) {
        for member in members(object).unwrap_or_default() {
            let name = member.name();
            let is_object = member.value().starts_with('{');
            if is_object || !self.public.iter().any(|known| alike(known, &name)) {
                self.hide(member.value());
            }
        }
    }

    /// Hides each text and number in a value. References are not secret.
    fn hide(&mut self, value: &str) {
        match value.as_bytes().first() {
            Some(b'{') => {
                for member in members(value).unwrap_or_default() {
                    self.hide(member.value());
                }
            }
            Some(b'[') => {
                for element in elements(value).unwrap_or_default() {
                    self.hide(element);
                }
            }
            Some(b't' | b'f' | b'n') => {}
            _ => {
                let content = value.trim_matches('"');
                let is_reference = ["env:", "file:"]
                    .iter()
                    .any(|kind| content.starts_with(kind));
                let start = content.as_ptr() as usize - self.text.as_ptr() as usize;
                if !is_reference && !content.is_empty() {
                    self.hidden.push(start..start + content.len());
                }
            }
        }
    }
}
