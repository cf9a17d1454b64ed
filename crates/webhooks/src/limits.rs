//! What the API document says that fields may hold.

use posthaste_domain::ids::{Id, MerchantId};
use posthaste_http::openapi::limits::{FieldLimit, Limit};

use crate::addresses::MOST_URL;
use crate::endpoints::{MOST_DESCRIPTION, MOST_OVERLAP_HOURS};
use crate::types;

const MERCHANT: Limit = Limit::Id(&[MerchantId::PREFIX]);

fn types_to_choose() -> Vec<String> {
    types::all().into_iter().map(|kind| kind.kind).filter(|kind| types::exists(kind)).collect()
}

fn every_type() -> Vec<String> {
    types::all().into_iter().map(|kind| kind.kind).collect()
}

/// The limits of webhooks.
pub const LIMITS: &[FieldLimit] = &[
    ("CreateEndpoint", "url", Limit::Address(MOST_URL)),
    ("CreateEndpoint", "description", Limit::Characters(0, MOST_DESCRIPTION)),
    ("CreateEndpoint", "types", Limit::Entries(0, types::MOST)),
    ("CreateEndpoint", "types[]", Limit::OneOf(types_to_choose)),
    ("CreateEndpoint", "merchant_id", MERCHANT),
    ("PutEndpoint", "url", Limit::Address(MOST_URL)),
    ("PutEndpoint", "description", Limit::Characters(0, MOST_DESCRIPTION)),
    ("PutEndpoint", "types", Limit::Entries(0, types::MOST)),
    ("PutEndpoint", "types[]", Limit::OneOf(types_to_choose)),
    ("EventType", "type", Limit::OneOf(every_type)),
    ("WebhookMessageView", "type", Limit::OneOf(every_type)),
    ("WebhookBody", "type", Limit::OneOf(every_type)),
    ("RotateSecret", "overlap_hours", Limit::Between(0.0, MOST_OVERLAP_HOURS as f64)),
];
