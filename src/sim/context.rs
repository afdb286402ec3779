//! What all services share: the world, the clock, generated ids, addresses and tokens. Only the
//! time changes, and only if the clock runs.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::sim::clock::Clock;
use crate::sim::data::audit::RecordContext;
use crate::sim::data::audit_log::AuditLog;
use crate::sim::data::content_store::ContentStore;
use crate::sim::data::story;
use crate::sim::ids::Ids;
use crate::sim::login::tokens::{Claims, Refusal, Resource, Tokens};
use crate::sim::server::call::Call;
use crate::sim::server::routes::Service;
use crate::sim::world::World;
use crate::sim::world::content::Content;

/// The domain of a tenant that has none in the world.
const DEFAULT_DOMAIN: &str = "contoso.onmicrosoft.com";

/// The shared state of the services.
pub(super) struct Context {
    pub(super) world: World,
    /// The time at which the simulator was started.
    pub(super) begin: DateTime<Utc>,
    clock: Clock,
    pub(super) ids: Ids,
    pub(super) tokens: Tokens,
    /// The blobs of the feed.
    pub(super) blobs: Arc<ContentStore>,
    /// The records of these blobs, for searches.
    pub(super) audit_log: AuditLog,
    base: String,
}

impl Context {
    /// The context of a world whose simulator has a base address such as `https://127.0.0.1:4711`.
    pub(super) fn new(world: World, (begin, clock): (DateTime<Utc>, Clock), base: &str) -> Self {
        let ids = Ids::new(world.seed);
        let tokens = Tokens::new(&ids, base);
        let content = world.content.clone();
        let mut content = content.unwrap_or_else(Content::default_content);
        if let Some(told) = &content.story {
            let home = world.home().to_ascii_lowercase();
            let records = story::blobs(told, &record_context(&world, &ids, begin, &home));
            content.blobs.extend(records);
        }
        let blobs = Arc::new(ContentStore::new(content, &ids, begin));
        Self {
            world,
            begin,
            clock,
            ids,
            tokens,
            audit_log: AuditLog::new(Arc::clone(&blobs)),
            blobs,
            base: base.to_owned(),
        }
    }

    /// The current time of the simulator.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.time(self.begin)
    }

    /// The claims of a request's token, if it is valid for the resource now.
    pub(super) fn claims(&self, call: &Call, resource: Resource) -> Result<Claims, Refusal> {
        self.tokens.check(call, resource, self.now().timestamp())
    }

    /// For whom records are generated: a tenant's GUID in lower case, and whether matched values are
    /// shown.
    pub(super) fn record_context<'a>(
        &'a self,
        tenant: &'a str,
        detected: bool,
    ) -> RecordContext<'a> {
        RecordContext {
            detected,
            ..record_context(&self.world, &self.ids, self.begin, tenant)
        }
    }

    /// The base address.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn address(&self, service: Service) -> String {
        format!("{}/{}", self.base, service.name())
    }

    /// A generated id for one request.
    pub(super) fn id_of(&self, what: &str, call: &Call) -> String {
        self.ids.of_call(what, call.route.name(), call.number)
    }
}

/// For whom records are generated, without matched values.
fn record_context<'a>(
    world: &'a World,
    ids: &'a Ids,
    begin: DateTime<Utc>,
    tenant: &'a str,
) -> RecordContext<'a> {
    let known = world.tenant(tenant);
    let domain = known.and_then(|tenant| tenant.domains.first());
    RecordContext {
        ids,
        begin,
        tenant,
        domain: domain.map_or(DEFAULT_DOMAIN, String::as_str),
        detected: false,
    }
}

#[cfg(test)]
impl Context {
    /// The context of a world given as JSON, at noon of a fixed day.
    pub(super) fn sample(world: &str) -> Arc<Self> {
        let world = World::from_json(world).unwrap();
        let begin = "2026-01-14T12:00:00Z".parse().unwrap();
        let base = "https://127.0.0.1:1";
        Arc::new(Self::new(world, (begin, Clock::Still), base))
    }
}
