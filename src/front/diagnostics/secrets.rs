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
        secret: Vec::new(),
        hidden: Vec::new(),
    };
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
    walk.secret = secret.iter().flat_map(|param| param.names()).collect();
    match kind {
        Kind::Profiles => walk.profiles(),
        Kind::Request => walk.request(text.trim()),
        // A file of another kind can have a secret by mistake.
        _ => walk.named(text.trim()),
    }
    walk.hidden
}

struct Walk<'a> {
    text: &'a str,
    /// The names of parameters that are not secret.
    public: Vec<&'a str>,
    /// The names of parameters that are secret.
    secret: Vec<&'a str>,
    hidden: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn request(&mut self, object: &str) {
        for member in members(object).unwrap_or_default() {
            let value = member.value();
            let is_object = value.starts_with('{');
            let is_scalar = !is_object && !value.starts_with('[');
            match &*member.name() {
                "connection" | "inputs" if is_object => self.parameters(value),
                "mapping" | "options" if is_object => self.named(value),
                "inputs" | "options" | "state" | "meta" => self.hide(value),
                name if is_scalar && field_names::<Envelope>().contains(&name) => {}
                _ => self.hide(value),
            }
        }
    }

    fn profiles(&mut self) {
        for member in members(self.text.trim()).unwrap_or_default() {
            match &*member.name() {
                "$schema" | "profiles" => {}
                "connections" if member.value().starts_with('{') => {
                    for profile in members(member.value()).unwrap_or_default() {
                        self.profile(profile.value());
                    }
                }
                _ => self.hide(member.value()),
            }
        }
    }

    fn profile(&mut self, profile: &str) {
        if !profile.starts_with('{') {
            return self.hide(profile);
        }
        for part in members(profile).unwrap_or_default() {
            let value = part.value();
            match &*part.name() {
                "integration" if value.starts_with('"') => {}
                "params" if value.starts_with('{') => self.parameters(value),
                _ => self.hide(value),
            }
        }
    }

    /// Parameters by name. A parameter that is not secret is a scalar or a list of scalars.
    fn parameters(&mut self, object: &str) {
        for member in members(object).unwrap_or_default() {
            let (name, value) = (member.name(), member.value());
            let parts = elements(value).unwrap_or_else(|_| vec![value]);
            let is_nested = parts.iter().any(|part| part.starts_with(['{', '[']));
            if is_nested || !self.public.iter().any(|known| alike(known, &name)) {
                self.hide(value);
            }
        }
    }

    /// Hides the members with the name of a secret parameter, at any depth.
    fn named(&mut self, value: &str) {
        for element in elements(value).unwrap_or_default() {
            self.named(element);
        }
        for member in members(value).unwrap_or_default() {
            let name = member.name();
            if self.secret.iter().any(|known| alike(known, &name)) {
                self.hide(member.value());
            } else {
                self.named(member.value());
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
