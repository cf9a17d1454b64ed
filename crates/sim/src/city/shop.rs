//! A shop: sees its orders on the merchant's socket, confirms its part (late, or never, or not at all), says
//! codes over the counter, and sends its customers their tracking links.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use posthaste_client::{Client, Event, SocketOptions};
use posthaste_domain::Span;
use posthaste_domain::ids::{MerchantId, OrderId};
use posthaste_domain::order::{TaskKind, TaskStatus};
use posthaste_domain::party::Party;
use posthaste_protocol::orders::{ConfirmOrder, OrderView, RejectOrder, TimelineEntry};
use posthaste_protocol::socket::{ServerMessage, Snapshot};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use crate::city::world::dice;
use crate::city::{City, customer};

const ROLE: u64 = 3;

struct Shop {
    city: Arc<City>,
    id: MerchantId,
    client: Client,
    dice: StdRng,
    /// Orders whose confirmation is decided.
    answered: HashSet<OrderId>,
    /// Own orders that are not over.
    live: HashSet<OrderId>,
    /// Answers on their way, and customers.
    people: JoinSet<()>,
}

/// The shop's whole life.
pub(crate) async fn live(city: Arc<City>, index: usize) {
    let id = city.world.shops[index].id;
    let client = city.options.tokens.client(&city.client, Party::Merchant(id));
    let options = SocketOptions {
        most_wait: Duration::from_secs(3),
        counters: Arc::clone(&city.stats.sockets),
        ..SocketOptions::default()
    };
    let mut socket = client.merchant_socket_with(options);
    let dice = dice(city.options.seed, ROLE, index as u64);
    let (answered, live) = (HashSet::new(), HashSet::new());
    let mut shop = Shop { city, id, client, dice, answered, live, people: JoinSet::new() };
    while let Some(event) = socket.next().await {
        while shop.people.try_join_next().is_some() {}
        match event {
            Event::Connected(welcome) => shop.city.clock.follow(welcome.clock),
            Event::Snapshot(snapshot) => {
                if let Snapshot::Merchant { orders } = *snapshot {
                    shop.catch_up(&orders).await;
                }
            }
            Event::Message { message: ServerMessage::Order(changed), .. } => {
                shop.see(&changed.order, &changed.events);
            }
            Event::Closed { code, problem } => {
                let text = problem.map_or_else(|| format!("close code {code:?}"), |p| p.to_string());
                tracing::warn!(shop = %shop.id, %text, "the shop's socket is closed");
            }
            _ => {}
        }
    }
}

impl Shop {
    /// After a snapshot: orders that ended while the shop was not looking are looked up.
    async fn catch_up(&mut self, orders: &[OrderView]) {
        let present: HashSet<_> = orders.iter().map(|order| order.id).collect();
        let missing: Vec<_> = self.live.difference(&present).copied().collect();
        for order in orders {
            self.see(order, &[]);
        }
        for id in missing {
            if let Ok(order) = self.client.order(id).await {
                self.see(&order, &[]);
            }
        }
    }

    fn see(&mut self, order: &OrderView, events: &[TimelineEntry]) {
        let (me, own) = (self.id, order.merchant_id == self.id);
        if own {
            self.city.stats.order(order, events);
        }
        if order.status.is_final() {
            self.answered.remove(&order.id);
            if self.live.remove(&order.id) {
                self.city.talk.forget(order.id, order.tasks.iter().map(|t| t.id));
            }
            return;
        }
        let mine = |kind| order.tasks.iter().filter(move |t| t.kind == kind && t.merchant_id == Some(me));
        for task in mine(TaskKind::Pickup) {
            if let Some(code) = &task.code {
                self.city.talk.at_counter(task.id, code);
            }
        }
        let asked = mine(TaskKind::Pickup).any(|t| t.status == TaskStatus::AwaitingConfirmation);
        if asked && self.answered.insert(order.id) {
            self.answer(order.id);
        }
        if own && self.live.insert(order.id) {
            let (city, client, id) = (Arc::clone(&self.city), self.client.clone(), order.id);
            let seed = self.dice.random();
            self.people.spawn(async move { customer::wait_for(&city, &client, id, seed).await });
        }
    }

    /// Confirms, in good time or late; or rejects; or does nothing.
    fn answer(&mut self, order: OrderId) {
        let habits = &self.city.options.habits;
        let fate: f64 = self.dice.random_range(0.0..1.0);
        let quick = Span::seconds(self.dice.random_range(10..120));
        let late = Span::minutes(self.dice.random_range(8..14));
        let (silent, rejects) = (habits.never_answers, habits.never_answers + habits.rejects);
        if fate < silent {
            return;
        }
        let after = if fate < rejects + habits.confirms_late && fate >= rejects { late } else { quick };
        let (city, client) = (Arc::clone(&self.city), self.client.clone());
        self.people.spawn(async move {
            city.clock.sleep(after).await;
            let answered = if fate < rejects {
                let reject = RejectOrder { merchant_id: None, reason: "sold out".to_owned() };
                client.reject_order(order, &reject).await
            } else {
                client.confirm_order(order, &ConfirmOrder::default()).await
            };
            if let Err(error) = answered {
                city.stats.failed("a seller answers", &error);
            }
        });
    }
}
