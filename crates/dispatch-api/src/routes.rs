//! Every route of dispatch with its contract and its documentation, but for the sockets'.

use posthaste_http::contract::Routes;
use utoipa_axum::routes;

use crate::{Dispatch, assignments, clock, drivers, inside, insight, orders, shadow, tracking, zones};

/// The routes.
pub fn routes() -> Routes<Dispatch> {
    Routes::default()
        .with([clock::READ], routes!(clock::read))
        .with([orders::PLACE, orders::LIST], routes!(orders::place, orders::list))
        .with([orders::READ], routes!(orders::read))
        .with([inside::ORDER], routes!(inside::order))
        .with([inside::DRIVER], routes!(inside::driver))
        .with([orders::CANCEL], routes!(orders::cancel))
        .with([orders::CONFIRM], routes!(orders::confirm))
        .with([orders::REJECT], routes!(orders::reject))
        .with([orders::TIMELINE], routes!(orders::timeline))
        .with([orders::DECISION], routes!(orders::decision))
        .with([orders::TRACKING_LINK], routes!(orders::tracking_link))
        .with([orders::UNLOCK_CODE], routes!(orders::unlock_code))
        .with([assignments::ASSIGN], routes!(assignments::assign))
        .with([assignments::UNASSIGN], routes!(assignments::unassign))
        .with([assignments::PRIORITISE], routes!(assignments::prioritise))
        .with([tracking::READ], routes!(tracking::read))
        .with([drivers::CREATE, drivers::LIST], routes!(drivers::create, drivers::list))
        .with([drivers::READ], routes!(drivers::read))
        .with([drivers::work::SHIFT], routes!(drivers::work::shift))
        .with(
            [drivers::roster::PLAN_SHIFT, drivers::roster::PLANNED_SHIFTS],
            routes!(drivers::roster::plan_shift, drivers::roster::planned_shifts),
        )
        .with([drivers::roster::DROP_SHIFT], routes!(drivers::roster::drop_shift))
        .with([drivers::work::ROUTE], routes!(drivers::work::route))
        .with(
            [drivers::work::CHOOSE_NEXT, drivers::work::UNDO_NEXT],
            routes!(drivers::work::choose_next, drivers::work::undo_next),
        )
        .with([drivers::positions::REPORT], routes!(drivers::positions::report))
        .with([drivers::positions::HEARTBEAT], routes!(drivers::positions::heartbeat))
        .with([drivers::work::ACCEPT], routes!(drivers::work::accept))
        .with([drivers::work::DECLINE], routes!(drivers::work::decline))
        .with([drivers::work::DEPARTED], routes!(drivers::work::departed))
        .with([drivers::work::ARRIVED], routes!(drivers::work::arrived))
        .with([drivers::work::PICKED_UP], routes!(drivers::work::picked_up))
        .with([drivers::work::DELIVERED], routes!(drivers::work::delivered))
        .with([drivers::work::RETURNED], routes!(drivers::work::returned))
        .with([drivers::work::FAILED], routes!(drivers::work::failed))
        .with([zones::CREATE, zones::LIST], routes!(zones::create, zones::list))
        .with([zones::READ, zones::REPLACE, zones::REMOVE], routes!(zones::read, zones::replace, zones::remove))
        .with([zones::BOARD], routes!(zones::board))
        .with([shadow::COMPARE], routes!(shadow::compare))
        .with([shadow::PLANS], routes!(shadow::plans))
        .with([insight::PERFORMANCE], routes!(insight::performance))
        .with([insight::TIMES], routes!(insight::times))
}
