//! Blobs: arrays of records. They are generated at each download and not stored.

use serde_json::value::RawValue;

use super::{Feed, Refused, refused};
use crate::sim::data::audit::Records;
use crate::sim::data::content_store::{Availability, Blob, Source};
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::{Answer, Call};
use crate::sim::world::content::LiteralBlob;

/// The permission to see matched values.
const READ_DLP: &str = "ActivityFeed.ReadDlp";

impl Feed {
    /// The records of the requested blob.
    pub(super) fn blob(&self, call: &Call, claims: &Claims) -> Result<Answer, Refused> {
        let id = call.segment(6);
        let found = self.store.find(&id, self.context.now());
        let code = if id.contains('$') {
            "AF20050"
        } else {
            "AF20052"
        };
        let blob = found.ok_or_else(|| refused(code, &[&id]))?;
        self.check_enabled(claims, self.store.content_type(&blob))?;
        if let Source::Literal(LiteralBlob {
            status: Some(status),
            ..
        }) = self.store.source(&blob)
        {
            return Ok(Answer::new(*status, String::new()));
        }
        match blob.availability_at(self.context.now()) {
            Availability::Missing => Err(refused("AF20050", &[&id])),
            Availability::Expired => Err(refused("AF20051", &[&id])),
            Availability::Available => Ok(Answer::new(200, self.body(&blob, claims))),
        }
    }

    fn body(&self, blob: &Blob, claims: &Claims) -> String {
        match self.store.source(blob) {
            Source::Literal(literal) => literal_body(literal),
            Source::Generated { entry, at, number } => {
                let tenant = claims.tid.to_ascii_lowercase();
                let detected = claims.permissions().any(|held| held == READ_DLP);
                let record_context = self.context.record_context(&tenant, detected);
                Records::new(&record_context, entry, at).blob(number)
            }
        }
    }
}

fn literal_body(blob: &LiteralBlob) -> String {
    if let Some(body) = &blob.body {
        return body.clone();
    }
    let records: Vec<&str> = blob.records.iter().map(|raw| RawValue::get(raw)).collect();
    format!("[{}]", records.join(","))
}
