//! What people are written. Plain words, and all of them ours; codes first, so that they show in a preview.

mod harmless;

use posthaste_domain::Span;
use posthaste_notifications::Message;
use posthaste_protocol::accounts::Secret;

use crate::accounts::Account;
use crate::audit::Origin;

fn minutes(span: Span) -> i64 {
    span.num_minutes().max(1)
}

pub(crate) fn verify_email(to: &str, code: &Secret, good_for: Span) -> Message {
    let (code, minutes) = (code.expose(), minutes(good_for));
    let text = format!(
        "{code} is your code. It is good for {minutes} minutes.\n\nSomebody, hopefully you, registered with this address. \
         If it was not you, do nothing: without the code nothing happens."
    );
    Message::email(to, "Your code", text).useful_for(good_for)
}

pub(crate) fn already_registered(to: &str, origin: &Origin) -> Message {
    let text = format!(
        "Somebody, perhaps you, tried to register with this address from {}. It has an account already: sign in, or \
         have a forgotten password replaced. If it was not you, do nothing.",
        origin.address
    );
    Message::email(to, "You have an account already", text)
}

/// The same by text: as short, and to a number that is known as to one that is not.
pub(crate) fn already_registered_by_text(to: &str) -> Message {
    let text = "You have a posthaste account with this number already: sign in with it, or have a forgotten password \
                replaced. If it was not you, do nothing.";
    Message::text(to, text)
}

pub(crate) fn recover(to: &str, code: &Secret, good_for: Span) -> Message {
    let (code, minutes) = (code.expose(), minutes(good_for));
    let text = format!(
        "{code} is your code for a new password. It is good for {minutes} minutes.\n\nIf you did not ask for it, do \
         nothing, and tell nobody the code."
    );
    Message::email(to, "Your code for a new password", text).useful_for(good_for)
}

pub(crate) fn code_by_text(to: &str, code: &Secret, good_for: Span) -> Message {
    let (code, minutes) = (code.expose(), minutes(good_for));
    Message::text(to, format!("{code} is your posthaste code, good for {minutes} minutes. Tell nobody."))
        .useful_for(good_for)
}

/// Something about the account changed: its owner is told, and so notices what somebody else did.
pub(crate) fn notice(to: &Account, what: &str, origin: &Origin) -> Message {
    let text = format!(
        "{what}\n\nFrom: {} ({}).\n\nIf it was not you: have your password replaced and end all sessions.",
        origin.address,
        harmless::device(&origin.device),
    );
    to.message("Your account", text)
}

/// A Google account signs in from now on.
pub(crate) fn google_linked(to: &Account, email: &str, origin: &Origin) -> Message {
    let what = format!("The Google account {} can sign in to your account from now on.", harmless::name(email));
    notice(to, &what, origin)
}

/// The account is gone, and so is everything by which it could be written to again.
pub(crate) fn deleted(to: &Account, origin: &Origin) -> Message {
    let text = format!(
        "Your account was deleted, and all sessions were ended. What it held about you is gone; orders stay without your \
         name. You can register with this address again at any time.\n\nFrom: {} ({}).\n\nIf it was not you, tell whoever \
         runs this service: somebody knows your password.",
        origin.address,
        harmless::device(&origin.device),
    );
    to.message("Your account was deleted", text)
}

pub(crate) fn banned(to: &Account, reason: &str) -> Message {
    to.message("Your account", format!("Your account was shut out. Reason: {reason}"))
}

pub(crate) fn activated(to: &Account) -> Message {
    to.message("Your account", "Your account was activated: you can begin to work.".to_owned())
}
