//! A diagnosis: the results of its stages, and the stages of sign-in, alerts and search.
//!
//! The stages of the network, of permissions and of content are in other files.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::mismatch;
use crate::microsoft::exchange::{Exchange, Session};
use crate::microsoft::graph::alerts::{ApiVersion, Order, Query, TimeField};
use crate::microsoft::graph::{Graph, alerts, audit_query};
use crate::microsoft::search::SearchFilter;
use crate::microsoft::{Cloud, TimeWindow};
use crate::net::{Audience, Token};
use crate::ops::Call;
use crate::ops::audit_search::{Position, first_position};
use crate::ops::connection::{SearchWith, Service, audience};
use crate::ops::diagnose::Diagnose;
use crate::ops::diagnose::stage::{Stage, reason};
use crate::protocol::{ErrorKind, Failure};

/// A running diagnosis.
pub(super) struct Diagnosis<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) input: &'a Diagnose,
    stages: Vec<Stage>,
    /// The services that cannot be used, each with the stage that failed.
    blocked: BTreeMap<Service, &'static str>,
    pub(super) tokens: BTreeMap<Service, Token>,
    /// The service's time, or that of this machine if it is not known.
    pub(super) now: DateTime<Utc>,
}

impl<'a> Diagnosis<'a> {
    pub(super) fn new(call: &'a Call<'a>, input: &'a Diagnose) -> Self {
        Diagnosis {
            call,
            input,
            stages: Vec::new(),
            blocked: BTreeMap::new(),
            tokens: BTreeMap::new(),
            now: call.now,
        }
    }

    /// All stages in their order.
    pub(super) fn close(mut self) -> Vec<Stage> {
        self.stages.sort_by_key(Stage::position);
        self.stages
    }

    pub(super) fn add(&mut self, stage: Stage) {
        self.stages.push(stage);
    }

    pub(super) fn services(&self) -> Vec<Service> {
        self.input.services(self.call)
    }

    pub(super) fn audience(&self, service: Service) -> &'a Audience {
        audience(self.call, service)
    }

    /// Uses a service no longer, because a stage failed. The first reason counts.
    pub(super) fn block(&mut self, service: Service, failed: &'static str) {
        self.blocked.entry(service).or_insert(failed);
    }

    /// The stage that failed if no service can be used.
    pub(super) fn blocked_by(&self, services: &[Service]) -> Option<&'static str> {
        let failed = services.iter().map(|service| self.blocked.get(service));
        let failed: Option<Vec<_>> = failed.collect();
        failed?.first().map(|failed| **failed)
    }

    /// Waits for the work of a stage, but not longer than the limit.
    pub(super) async fn limited<T>(
        &self,
        activity: &'static str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.call.http.meter().begin(activity);
        let limit = Duration::from_millis(self.input.limit_ms);
        let work = self.call.http.deadline().race(activity, work);
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let message = format!("No answer within {} seconds.", limit.as_secs_f64());
            Err(Failure::new(ErrorKind::Timeout, message)
                .cause("The connection hangs: a firewall or a proxy can drop packets, or the service is slow.")
                .advice("Check the firewall and the proxy for this host, then try again."))
        })
    }

    /// Signs in to each service, then checks the audiences of the tokens.
    pub(super) async fn sign_in(&mut self) {
        let services = self.services();
        if let Some(failed) = self.blocked_by(&services) {
            self.add(Stage::after("sign_in", failed));
            self.add(Stage::after("audience", failed));
            return;
        }
        let mut failures = Vec::new();
        for service in services.iter().copied() {
            if self.blocked.contains_key(&service) {
                continue;
            }
            let token = self.new_token(service).await;
            match token {
                Ok(token) => drop(self.tokens.insert(service, token)),
                // One service can be missing in a tenant; everything else affects all services.
                Err(failure) if failure.kind() == ErrorKind::Forbidden => {
                    self.block(service, "sign_in");
                    failures.push(failure);
                }
                Err(failure) => {
                    for service in &services {
                        self.block(*service, "sign_in");
                    }
                    failures.push(failure);
                    break;
                }
            }
        }
        let is_optional = self.input.search_with == SearchWith::Automatic
            && self.tokens.contains_key(&Service::Graph)
            && self
                .blocked
                .keys()
                .all(|service| *service == Service::Exchange);
        let names: Vec<&str> = self.tokens.keys().map(|service| service.name()).collect();
        let names = names.join(" and ");
        let kind = self.call.connection.credential.kind().replace('_', " ");
        self.add(match failures.first() {
            Some(failure) if is_optional => Stage::pass(
                "sign_in",
                format!(
                    "Signed in to {names} with a {kind}; not to {}: {}",
                    Service::Exchange.name(),
                    reason(failure)
                ),
            ),
            Some(failure) => Stage::failed("sign_in", failure),
            None => Stage::pass("sign_in", format!("Signed in to {names} with a {kind}.")),
        });
        self.audiences();
    }

    /// A token of a new sign-in: a stored one has the permissions of an earlier time.
    async fn new_token(&self, service: Service) -> Result<Token, Failure> {
        let (tokens, audience) = (self.call.tokens, self.audience(service));
        let calls = || self.call.http.usage().calls;
        let before = calls();
        let token = self.limited("sign-in", tokens.token(audience)).await?;
        if calls() > before {
            return Ok(token);
        }
        tokens.forget(audience, &token);
        self.limited("sign-in", tokens.token(audience)).await
    }

    fn audiences(&mut self) {
        let connection = self.call.connection;
        let account = connection.account();
        let mut wrong: Vec<(Service, String)> = Vec::new();
        for (service, token) in &self.tokens {
            let found = mismatch::mismatch(&account, self.audience(*service), token);
            let found = found.or_else(|| self.of_another_service(*service));
            wrong.extend(found.map(|cause| (*service, cause)));
            let tenant = connection.tenant_guid().zip(token.tenant.as_deref());
            if let Some((own, other)) = tenant
                && !own.eq_ignore_ascii_case(other)
            {
                let cause = format!("The token is for the tenant {other}, not for {own}.");
                wrong.push((*service, cause));
            }
        }
        if self.tokens.is_empty() {
            self.add(Stage::after("audience", "sign_in"));
            return;
        }
        if let Some((_, cause)) = wrong.first() {
            self.add(Stage::fail("audience", cause, mismatch::ADVICE));
            for (service, _) in wrong {
                self.block(service, "audience");
                self.tokens.remove(&service);
            }
            return;
        }
        let services = self.tokens.keys().map(|one| self.audience(*one).0.as_str());
        let services: Vec<&str> = services.collect();
        let detail = format!("The tokens are for {}.", services.join(", "));
        self.add(Stage::pass("audience", detail));
    }

    /// The fault of a service's audience, if it is that of another service. Only an
    /// operator's endpoints can have such audiences.
    fn of_another_service(&self, service: Service) -> Option<String> {
        let own = self.audience(service);
        let clouds = Cloud::names().filter_map(|name| Cloud::named(name).ok());
        let mut audiences = clouds.map(|cloud| cloud.audiences);
        let other = audiences.find_map(|known| {
            let all = [
                (Service::Graph, known.graph),
                (Service::Management, known.management),
                (Service::Exchange, known.exchange),
            ];
            let mut all = all.into_iter();
            all.find(|(other, audience)| *other != service && audience == own)
        });
        let (other, _) = other?;
        let (name, other) = (service.name(), other.name());
        Some(format!(
            "The token for {name} is for {}, which is {other}.",
            own.0
        ))
    }

    /// Requests one alert of the last 7 days.
    pub(super) async fn alerts(&mut self) {
        if let Some(failed) = self.blocked_by(&[Service::Graph]) {
            self.add(Stage::after("alerts", failed));
            return;
        }
        let cloud = &self.call.connection.cloud;
        let graph = Graph::new(self.call.http, self.call.tokens, cloud);
        let query = Query {
            version: ApiVersion::V1,
            time: TimeField::LastUpdateDateTime,
            from: self.now - TimeDelta::days(7),
            to: None,
            order: Order::Descending,
            condition: self.input.filter.clone(),
            page_size: 1,
        };
        let page = alerts::page(&graph, query.url(graph.address()));
        let count = self.limited("an alert", page).await;
        let count = count.and_then(|page| Ok(page.open()?.records.len()));
        self.add(match (count, &self.input.filter) {
            (Err(failure), _) => Stage::failed("alerts", &failure),
            (Ok(0), None) => Stage::warn(
                "alerts",
                "The request works, but no alert was created or updated in the last 7 days.",
                "Check in the Microsoft Defender portal that this tenant has alerts.",
            ),
            (Ok(0), Some(condition)) => Stage::warn(
                "alerts",
                format!("No alert of the last 7 days meets the condition {condition}"),
                "Send the request without the condition, and compare it with the alerts.",
            ),
            (Ok(_), _) => Stage::pass("alerts", "The newest alert of the last 7 days was read."),
        });
    }

    /// Searches for one record of the last 24 hours.
    pub(super) async fn search(&mut self) {
        if let Some(failed) = self.blocked_by(self.input.search_services(self.call)) {
            self.add(Stage::after("search", failed));
            return;
        }
        let found = self.limited("an audit search", self.search_one()).await;
        if let Err(failure) = &found
            && self.add_auditing_off(failure)
        {
            self.add(Stage::after("search", "auditing"));
            return;
        }
        let is_shown = self.stages.iter().any(|stage| stage.id == "auditing");
        if let Ok((_, true)) = &found
            && !is_shown
        {
            let detail = "The audit log has records of the last 24 hours.";
            self.add(Stage::pass("auditing", detail));
        }
        self.add(match found {
            Err(failure) => Stage::failed("search", &failure),
            Ok((detail, _)) => Stage::pass("search", detail),
        });
    }

    /// The finding, and whether it proves that auditing is on.
    async fn search_one(&self) -> Result<(&'static str, bool), Failure> {
        let call = self.call;
        let (filter, window) = (SearchFilter::default(), self.last_day());
        match first_position(call, self.input.search_with, ApiVersion::V1).await? {
            Position::Exchange(_) => {
                let session = Session {
                    filter: &filter,
                    window: &window,
                    id: format!("{}-diagnose", call.http.id()),
                    sorted: true,
                    page_size: 1,
                };
                let exchange = Exchange::new(call.http, call.tokens, call.connection);
                let page = exchange.page(&session).await?;
                Ok(match page.rows.len() {
                    0 => (
                        "Exchange Online answered: there is no record of the last 24 hours.",
                        false,
                    ),
                    _ => ("Exchange Online found a record of the last 24 hours.", true),
                })
            }
            Position::Graph(running) => {
                let graph = Graph::new(call.http, call.tokens, &call.connection.cloud);
                let version = running.version;
                let query = audit_query::create(&graph, version, &window, &filter).await?;
                let query = audit_query::status(&graph, version, &query.id).await?;
                audit_query::delete(&graph, version, &query.id).await;
                Ok((
                    "Microsoft Graph accepted a search. Its results can take minutes.",
                    false,
                ))
            }
        }
    }

    /// The last 24 hours of the service's time.
    pub(super) fn last_day(&self) -> TimeWindow {
        TimeWindow {
            start: self.now - TimeDelta::hours(24),
            end: self.now,
        }
    }
}
