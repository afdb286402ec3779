//! Blobs: arrays of records, made when they are fetched.
//!
//! It deliberately keeps no body: the same blob is made again for who fetches it again.

use serde_json::value::RawValue;

use super::{Feed, Refused, refused};
use crate::sim::data::audit::{Reader, Records};
use crate::sim::data::content_store::{Blob, Fate, Source};
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::{Answer, Call};
use crate::sim::world::content::LiteralBlob;

/// The domain of tenants that the world gives none.
const DOMAIN: &str = "contoso.onmicrosoft.com";

/// The permission to see matched values.
const VALUES: &str = "ActivityFeed.ReadDlp";

impl Feed {
    /// The records of the blob that a call names.
    pub(super) fn blob(&self, call: &Call, claims: &Claims) -> Result<Answer, Refused> {
        let id = call.segment(6);
        let found = self.shelf.find(&id, self.site.now());
        let code = if id.contains('$') {
            "AF20050"
        } else {
            "AF20052"
        };
        let blob = found.ok_or_else(|| refused(code, &[&id]))?;
        self.running(claims, self.shelf.content_type(&blob))?;
        if let Source::Literal(LiteralBlob {
            status: Some(status),
            ..
        }) = self.shelf.source(&blob)
        {
            return Ok(Answer::new(*status, String::new()));
        }
        match blob.fate_at(self.site.now()) {
            Fate::Missing => Err(refused("AF20050", &[&id])),
            Fate::Expired => Err(refused("AF20051", &[&id])),
            Fate::Whole => Ok(Answer::new(200, self.body(&blob, claims))),
        }
    }

    fn body(&self, blob: &Blob, claims: &Claims) -> String {
        match self.shelf.source(blob) {
            Source::Literal(literal) => written(literal),
            Source::Generated { entry, at, number } => {
                let tenant = claims.tid.to_ascii_lowercase();
                let known = self.site.world.tenant(&tenant);
                let domain = known.and_then(|tenant| tenant.domains.first());
                let reader = Reader {
                    ids: &self.site.ids,
                    begin: self.site.begin,
                    tenant: &tenant,
                    domain: domain.map_or(DOMAIN, String::as_str),
                    detected: claims.permissions().any(|held| held == VALUES),
                };
                Records::new(&reader, entry, at).blob(number)
            }
        }
    }
}

fn written(blob: &LiteralBlob) -> String {
    if let Some(body) = &blob.body {
        return body.clone();
    }
    let records: Vec<&str> = blob.records.iter().map(|raw| RawValue::get(raw)).collect();
    format!("[{}]", records.join(","))
}
