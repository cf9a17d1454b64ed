//! What the live system refuses, as problems. The one place where that is decided; the matches are exhaustive.

use posthaste_domain::driver::ShiftRefused;
use posthaste_domain::order::{InvalidOrder, Rejected};
use posthaste_http::problem::Failure;
use posthaste_live::Refused;
use posthaste_protocol::problem::{Code, FieldError, Problem};
use posthaste_storage::StorageError;

/// How many seconds a locked code asks to wait where the exact time is in the detail.
const LOCKED_RETRY_SECONDS: u32 = 60;

/// The problem of a refusal.
pub fn problem(refused: Refused) -> Problem {
    match refused {
        Refused::NotFound(what) => Problem::new(Code::NotFound).detail(format!("no such {what}")),
        Refused::Order(rejected) => rejection(&rejected),
        Refused::WrongCode { attempts_left } => {
            let mut problem = Problem::new(Code::WrongCode);
            problem.attempts_left = Some(attempts_left);
            problem
        }
        Refused::InvalidOrder(fields) => Problem::new(Code::Invalid).errors(fields.into_iter().map(field).collect()),
        Refused::OutsideServiceArea { field } => {
            let problem = "lies in no zone".to_owned();
            Problem::new(Code::OutsideServiceArea).errors(vec![FieldError { field, problem }])
        }
        Refused::TooManyOrders(whose) => Problem::new(Code::Conflict).detail(whose),
        Refused::Shift(refused) => shift(refused),
        Refused::DriverBusy(overlap) => Problem::new(Code::DriverBusy).detail(overlap.to_string()),
        Refused::DriverUnsuited(why) => {
            Problem::new(Code::Conflict).detail(format!("the driver cannot take it: {why}"))
        }
        Refused::InvalidZone(fields) => {
            let errors = fields.into_iter().map(|(field, problem)| FieldError { field, problem }).collect();
            Problem::new(Code::Invalid).errors(errors)
        }
        Refused::RegionsDiffer(differ) => Problem::invalid("zones", differ.to_string()),
        Refused::InvalidShift(field, problem) => Problem::invalid(field, problem),
        Refused::ShiftsOverlap => Problem::new(Code::Conflict).detail("the driver is planned for another shift then"),
        Refused::ZoneNameTaken => Problem::new(Code::Conflict).detail("another zone has this name"),
        Refused::LostRace => Problem::new(Code::Conflict).detail("somebody else changed it in between: read it again"),
        Refused::IdempotencyMismatch => Problem::new(Code::IdempotencyMismatch),
        Refused::Broken(_) => Problem::new(Code::Internal),
        Refused::Unavailable(why) => Problem::unavailable(why),
    }
}

/// The problem of a refusal, on its way out.
pub fn refused(refusal: Refused) -> Failure {
    problem(refusal).into()
}

/// The problem of a read that failed. Its text goes to the log only.
pub fn unread(error: StorageError) -> Failure {
    tracing::error!(error = &error as &dyn std::error::Error, "a read failed");
    if error.is_temporary() {
        Problem::unavailable("the database is not available").into()
    } else {
        Code::Internal.into()
    }
}

fn field(invalid: InvalidOrder) -> FieldError {
    FieldError { field: invalid.field, problem: invalid.problem }
}

fn rejection(rejected: &Rejected) -> Problem {
    let code = match rejected {
        Rejected::Ended(_) => Code::OrderEnded,
        Rejected::NotNow(_)
        | Rejected::NotASeller(_)
        | Rejected::AlreadyAnswered
        | Rejected::TaskNotDue(_)
        | Rejected::NotDue => Code::Conflict,
        Rejected::ReadyTooLate { before } => {
            return Problem::invalid("ready_at", format!("must be before {before}"));
        }
        Rejected::UnknownTask(_) => Code::NotFound,
        Rejected::OfferGone => Code::OfferGone,
        // Another driver's order: it looks like one that is not there.
        Rejected::NotYours => Code::NotFound,
        Rejected::CodeRequired => Code::CodeRequired,
        Rejected::CodeLocked { .. } => {
            let problem = Problem::new(Code::CodeLocked).retry_after(LOCKED_RETRY_SECONDS);
            return problem.detail(rejected.to_string());
        }
        Rejected::GoodsOnBoard => Code::GoodsOnBoard,
    };
    Problem::new(code).detail(rejected.to_string())
}

fn shift(refused: ShiftRefused) -> Problem {
    match refused {
        ShiftRefused::NotOnShift => Problem::new(Code::Conflict).detail(refused.to_string()),
        ShiftRefused::EndsInThePast { .. } => Problem::invalid("until", refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_domain::order::Status;

    #[test]
    fn a_lost_race_is_a_conflict_and_a_missing_database_says_when_to_try_again() {
        assert_eq!(problem(Refused::LostRace).status, 409);
        let away = problem(Refused::Unavailable("the database is away".into()));
        assert_eq!((away.status, away.retry_after_seconds), (503, Some(1)));
    }

    #[test]
    fn a_wrong_code_says_how_many_tries_remain() {
        assert_eq!(problem(Refused::WrongCode { attempts_left: 2 }).attempts_left, Some(2));
    }

    #[test]
    fn every_rejection_of_the_order_machine_is_the_callers_to_understand() {
        let rejections = [
            (Rejected::Ended(Status::Delivered), Code::OrderEnded),
            (Rejected::OfferGone, Code::OfferGone),
            (Rejected::NotYours, Code::NotFound),
            (Rejected::GoodsOnBoard, Code::GoodsOnBoard),
            (Rejected::CodeRequired, Code::CodeRequired),
        ];
        for (rejected, code) in rejections {
            assert_eq!(problem(rejected.into()).code, code);
        }
    }
}
