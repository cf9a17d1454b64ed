//! What the codes of problems mean, and what to do: for the page that the `type` of a problem leads to.

use super::Code;

impl Code {
    /// Every code, in the order of their statuses.
    pub const ALL: &'static [Self] = &[
        Self::Malformed,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::WrongCredentials,
        Self::SecondFactorRequired,
        Self::LoginEnded,
        Self::SignInFailed,
        Self::Forbidden,
        Self::ScopeRequired,
        Self::NotActivated,
        Self::SecondFactorMissing,
        Self::Banned,
        Self::StepUpRequired,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::OrderEnded,
        Self::OfferGone,
        Self::DriverBusy,
        Self::LinkRequired,
        Self::GoodsOnBoard,
        Self::IdempotencyRunning,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::CodeRequired,
        Self::WrongCode,
        Self::IdempotencyMismatch,
        Self::OutsideServiceArea,
        Self::UpgradeRequired,
        Self::CodeLocked,
        Self::RateLimited,
        Self::HeadTooLarge,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The code with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// What it means and what to do, a sentence or a few each. `code` stands between backticks.
    #[must_use]
    pub fn advice(self) -> (&'static str, &'static str) {
        match self {
            Self::Timeout | Self::Internal | Self::Unavailable | Self::RateLimited | Self::HeadTooLarge => {
                of_the_server(self)
            }
            Self::Unauthenticated
            | Self::TokenExpired
            | Self::WrongCredentials
            | Self::SecondFactorRequired
            | Self::LoginEnded
            | Self::SignInFailed
            | Self::Forbidden
            | Self::ScopeRequired
            | Self::NotActivated
            | Self::SecondFactorMissing
            | Self::Banned
            | Self::StepUpRequired
            | Self::LinkRequired => of_who_asks(self),
            Self::Malformed
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::Invalid
            | Self::IdempotencyRunning
            | Self::IdempotencyMismatch
            | Self::UpgradeRequired => of_the_request(self),
            Self::Conflict
            | Self::OrderEnded
            | Self::OfferGone
            | Self::DriverBusy
            | Self::GoodsOnBoard
            | Self::CodeRequired
            | Self::WrongCode
            | Self::CodeLocked
            | Self::OutsideServiceArea => of_the_work(self),
        }
    }
}

type Advice = (&'static str, &'static str);

fn of_the_server(code: Code) -> Advice {
    match code {
        Code::Timeout => (
            "The request took longer than the server gives to any. Whether it was done is not known to you; what was begun is \
             finished all the same.",
            "Send it again with the same `Idempotency-Key`: what was done is then not done twice. Without a key, look first \
             whether it was done.",
        ),
        Code::RateLimited => (
            "More was asked than the quota allows: requests of a caller or an address, messages on a socket, connections, or \
             tries at something that could be guessed.",
            "Wait as many seconds as `Retry-After` says, then go on more slowly. The headers `RateLimit-Policy` and `RateLimit` \
             say what the quota is and what is left of it, on every answer.",
        ),
        Code::HeadTooLarge => (
            "The address and headers of the request are larger, or more, than the server reads.",
            "Send fewer and shorter headers: cookies of other programs on the same host are the usual cause.",
        ),
        Code::Unavailable => (
            "The server cannot do it now: it is starting, stopping, full, or its database is away. Nothing of the request was done, \
             unless `detail` says otherwise.",
            "Wait as many seconds as `Retry-After` says and send it again, with the same `Idempotency-Key` where it has one.",
        ),
        _ => (
            "A fault of the server. It is in its log, and nothing of it is told to callers.",
            "Give `request_id` to whoever runs the server: it finds the fault in the log. Sent again with the same \
             `Idempotency-Key`, the request is not done twice.",
        ),
    }
}

fn of_who_asks(code: Code) -> Advice {
    match code {
        Code::Unauthenticated => (
            "The request has no token, or one that this server did not give out or does not accept any more.",
            "Send `Authorization: Bearer …` with the access token of a login (`POST /v1/sessions`), or with a merchant's key where \
             the route takes one. A key of the test world is good for the test world alone.",
        ),
        Code::TokenExpired => (
            "The token was right, and its time is over. Access tokens are short-lived on purpose.",
            "Get a new one with the refresh token (`POST /v1/sessions/refresh`) and send the request again.",
        ),
        Code::WrongCredentials => (
            "Email and password do not belong together, or there is no such account: which of the two is not told. An account \
             whose address was not verified yet looks the same.",
            "Check both; type the code of the registration first where it is still open. A forgotten password is replaced with \
             `POST /v1/password/forgot`.",
        ),
        Code::SecondFactorRequired => (
            "Password and email are right, and the account has a second factor.",
            "Send the same again with `code`: the authenticator's six digits, or a recovery code.",
        ),
        Code::LoginEnded => (
            "The login that the token belongs to was ended: by signing out, by a new password, by the account's owner or by operations.",
            "Sign in again.",
        ),
        Code::SignInFailed => (
            "Signing in with Google did not come through: it was broken off, took too long, or came back to another browser.",
            "Begin again with `POST /v1/sessions/google`.",
        ),
        Code::Forbidden => (
            "Who asks is known, and may not do this: their role may not, or it is not to be done with what they asked with. Some \
             things want a login and not a key.",
            "`detail` says which it is. The description of every operation says who may: `For: …`.",
        ),
        Code::ScopeRequired => (
            "The merchant's key is right, and was made without the scope that this operation needs. `detail` names it.",
            "Make a key with the scope (`POST /v1/account/keys`); the scopes of a key cannot be changed. The description of every \
             operation says what it needs: `Keys need …`.",
        ),
        Code::NotActivated => (
            "The account is there and may not work yet: merchants and drivers wait for operations.",
            "Wait for the letter; then get a new access token (`POST /v1/sessions/refresh`): the old \
             one still says that the account may not work.",
        ),
        Code::SecondFactorMissing => (
            "Admins work with a second factor here, and the login has shown none.",
            "Set one up (`POST /v1/account/second-factor`), or where it is on show it (`POST /v1/account/step-up`); then get a new \
             access token (`POST /v1/sessions/refresh`).",
        ),
        Code::Banned => {
            ("The account was shut out by operations. `detail` says why.", "Write to whoever runs the service.")
        }
        Code::StepUpRequired => (
            "What is asked for wants a proof of the last ten minutes of who asks, so that a login that lies open is not enough.",
            "Show the password or the second factor (`POST /v1/account/step-up`), then send the request again.",
        ),
        _ => (
            "There is an account with this email address already, and the Google account is not linked to it.",
            "Sign in to the account as usual, then link it (`POST /v1/account/google`).",
        ),
    }
}

fn of_the_request(code: Code) -> Advice {
    match code {
        Code::Malformed => (
            "The request cannot be read: its body is no JSON, its path holds no id, or its query has a parameter that does not \
             exist or does not say what it should. `detail` or `errors` say where.",
            "Correct it. Sent again as it is, it is refused again.",
        ),
        Code::NotFound => (
            "There is no such thing, no such path, or it is not one of yours: the two look the same on purpose.",
            "Check the id, and whether it is of the world (live or test) that the token belongs to.",
        ),
        Code::MethodNotAllowed => (
            "There is such a path, and nothing to be done there with this method.",
            "Look the operation up in the document of the API.",
        ),
        Code::TooLarge => (
            "The body, or a list in it, is larger than the server takes.",
            "Send less at once: positions and the like in several parts.",
        ),
        Code::UnsupportedMediaType => {
            ("The request has a body that is not said to be JSON.", "Send it with `content-type: application/json`.")
        }
        Code::Invalid => (
            "The request was read, and one or more of its fields do not hold what they should. `errors` names every one of them with \
             its path, as in `pickups[1].ready_at`, and says what is wanted.",
            "Correct all that are named. An `Idempotency-Key` is not used up by it.",
        ),
        Code::IdempotencyRunning => (
            "A request with the same `Idempotency-Key` came just before and is still being worked on.",
            "Wait as many seconds as `Retry-After` says and send the same again: you get the answer of the first. Do not take a \
             new key: that would do it twice.",
        ),
        Code::IdempotencyMismatch => (
            "The `Idempotency-Key` was used in the last day with a request that says something else. Order of fields, spaces and \
             the way of writing a number or a character do not count; a field that is left out and its default spelled out are two \
             different requests.",
            "Take a new key for a new request; send the first one as it was to get its answer again.",
        ),
        _ => (
            "The handshake of a socket asks for another version of the WebSocket protocol than 13.",
            "Use a client of RFC 6455: every present one is.",
        ),
    }
}

fn of_the_work(code: Code) -> Advice {
    match code {
        Code::Conflict => (
            "What is asked for makes sense, and not in the present state: a name is taken, a step comes too early or too late, \
             somebody else was quicker. `detail` says what stands in the way.",
            "Read the thing again and decide by what it is now.",
        ),
        Code::OrderEnded => (
            "The order is over: delivered, canceled, returned, failed or expired. Nothing more can be done with it.",
            "Read the order. Place a new one where goods have still to be carried.",
        ),
        Code::OfferGone => (
            "The offer is no longer open: it was answered, lapsed, or was withdrawn because somebody else got the order.",
            "Wait for the next one.",
        ),
        Code::DriverBusy => (
            "The driver's time is taken by other work that this would overlap. `detail` says by when.",
            "Assign another driver, or later.",
        ),
        Code::GoodsOnBoard => (
            "A driver has goods of the order, so that it cannot simply be given to somebody else or dropped.",
            "Cancel it, so that the goods go back to their sellers, or let the driver finish.",
        ),
        Code::CodeRequired => (
            "The hand-over needs the code that the seller or the customer tells the driver.",
            "Ask for the code at the door, and send it as `code`.",
        ),
        Code::WrongCode => (
            "The code is not the right one, was used already, or is too old. `attempts_left` says how many tries remain, where they \
             are counted. Spaces, dashes and capital letters do not matter, nor the digits of which script it is typed in.",
            "Ask again, and type it anew. Of a code that was sent out, only the newest counts.",
        ),
        Code::CodeLocked => (
            "Too many wrong codes came at this hand-over. For a while none is taken, the right one neither.",
            "Wait as long as `detail` says, or let the seller or operations open it (`unlock-code`).",
        ),
        _ => (
            "A place of the order lies in no zone of the service. `errors` names it.",
            "Check that `lat` and `lng` are not swapped. `GET /v1/zones` says where the service is.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn every_code_is_in_the_list_once_and_has_advice_of_its_own() {
        let schema = serde_json::to_value(Code::schema()).unwrap();
        let known = schema["enum"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        let known: BTreeSet<_> = known.collect();
        let listed: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!((known, listed.len()), (listed, Code::ALL.len()));
        let advice: BTreeSet<_> = Code::ALL.iter().map(|code| code.advice()).collect();
        assert_eq!(advice.len(), Code::ALL.len(), "two codes share what is said of them");
        for code in Code::ALL {
            assert_eq!(Code::named(&code.name()), Some(*code));
            let (meaning, advice) = code.advice();
            assert!(meaning.len() > 40 && meaning.ends_with('.') && advice.ends_with('.'), "{code:?}");
            assert!((meaning.to_owned() + advice).matches('`').count() % 2 == 0, "{code:?}");
        }
        assert_eq!(Code::named("no_such_code"), None);
        assert!(Code::ALL.is_sorted_by_key(|code| code.status()), "in the order of their statuses");
    }
}
