//! What all services share: the world, the clock, generated ids, addresses and tokens. Only the
//! time changes, and only if the clock runs.

use chrono::{DateTime, Utc};

use crate::sim::clock::Clock;
use crate::sim::ids::Ids;
use crate::sim::login::tokens::{Claims, Refusal, Resource, Tokens};
use crate::sim::server::call::Call;
use crate::sim::server::routes::Service;
use crate::sim::world::World;

/// The shared state of the services.
pub(super) struct Context {
    pub(super) world: World,
    /// The time at which the simulator was started.
    pub(super) begin: DateTime<Utc>,
    clock: Clock,
    pub(super) ids: Ids,
    pub(super) tokens: Tokens,
    base: String,
}

impl Context {
    /// The context of a world whose simulator has a base address such as `https://127.0.0.1:4711`.
    pub(super) fn new(world: World, (begin, clock): (DateTime<Utc>, Clock), base: &str) -> Self {
        let ids = Ids::new(world.seed);
        let tokens = Tokens::new(&ids, base);
        Self {
            world,
            begin,
            clock,
            ids,
            tokens,
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

#[cfg(test)]
impl Context {
    /// The context of a world given as JSON, at noon of a fixed day.
    pub(super) fn sample(world: &str) -> std::sync::Arc<Self> {
        let world = World::from_json(world).unwrap();
        let begin = "2026-01-14T12:00:00Z".parse().unwrap();
        let base = "https://127.0.0.1:1";
        std::sync::Arc::new(Self::new(world, (begin, Clock::Still), base))
    }
}
