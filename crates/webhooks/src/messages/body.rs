//! What a receiver gets. It is made from the order's events up to the one that it tells of, so that every attempt says
//! the same, whatever happened to the order since, and nothing is stored twice.

use posthaste_domain::ids::MerchantId;
use posthaste_domain::order::{Event, Order, Recorded, Status};
use posthaste_protocol::audience::{Audience, timeline_entry};
use posthaste_protocol::orders::OrderView;
use posthaste_protocol::webhooks::{OrderEvent, WebhookBody, WebhookData, WebhookMessageView, WebhookTest};
use posthaste_storage::pool::Pool;
use posthaste_storage::{StorageError, orders};

/// The body of a message for its endpoint's merchant.
pub(crate) async fn of(
    pool: &Pool,
    message: &WebhookMessageView,
    merchant: MerchantId,
) -> Result<WebhookBody, StorageError> {
    let data = match message.order_id {
        None => WebhookData::Test(WebhookTest { endpoint_id: message.endpoint_id }),
        Some(order) => {
            let history = orders::timeline(pool, order, 0).await?;
            let event = event(&history, message.sequence, merchant);
            let missing = || StorageError::corrupt(format!("event {} of {order}", message.sequence), "it is not there");
            WebhookData::Order(Box::new(event.ok_or_else(missing)?))
        }
    };
    Ok(WebhookBody { kind: message.kind.clone(), timestamp: message.at, data })
}

/// An event of a history, with the order after it.
fn event(history: &[(Recorded, Status)], sequence: u64, merchant: MerchantId) -> Option<OrderEvent> {
    let (first, _) = history.first()?;
    let Event::Placed { order } = &first.event else { return None };
    let mut order: Order = (**order).clone();
    for (recorded, _) in history.iter().skip(1).take_while(|(recorded, _)| recorded.seq <= sequence) {
        order.apply(&recorded.event, recorded.at);
    }
    let (recorded, status) = history.iter().find(|(recorded, _)| recorded.seq == sequence)?;
    let entry = timeline_entry(recorded, *status, &order, Audience::Merchant(merchant));
    Some(OrderEvent {
        order_id: order.id,
        sequence,
        by: entry.by,
        status: *status,
        details: entry.data,
        order: OrderView::of(&order, Audience::Merchant(merchant)),
    })
}
