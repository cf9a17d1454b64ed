//! Going on with a login: a refresh token is good for once, and one line of them is gone on with.
//!
//! Whoever uses a token a second time, or one that was set aside, has stolen it, or it was stolen from them: the login
//! ends. But pages are clicked twice, and answers get lost: within the grace it is taken again. The first use of any
//! token sets all other open ones of the login aside. What is handed out for a token that had rivals is contested, and
//! has no grace once it is set aside itself: however a thief times it, two lines of tokens end within two rounds.

use posthaste_domain::ids::LoginId;
use posthaste_domain::{Span, Timestamp};
use posthaste_protocol::accounts::Secret;
use serde_json::json;

use super::{Begun, Opened, store, token};
use crate::accounts::{self, Account};
use crate::audit::{Entry, Origin};
use crate::refused::Refused;
use crate::{Identity, letters, random};

/// How often a refresh token is taken within the grace.
pub(crate) const USES_IN_GRACE: i16 = 3;

/// What becomes of a token that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is the one that is gone on with.
    First,
    /// It is taken once more.
    Again,
    /// Somebody has stolen something.
    Stolen,
}

/// What a use of a token means at `now`: `used_at` and `uses` tell of the uses before, 0 uses of being set aside.
fn meaning(used_at: Option<Timestamp>, uses: i16, contested: bool, now: Timestamp, grace: Span) -> Use {
    let Some(used_at) = used_at else { return Use::First };
    let late = now - used_at > grace;
    if late || uses >= USES_IN_GRACE || (uses == 0 && contested) { Use::Stolen } else { Use::Again }
}

impl Identity {
    /// Trades a refresh token for the next one. One that was used before ends the login, but within the grace.
    pub(crate) async fn refresh(&self, token: &Secret, origin: &Origin) -> Result<Opened, Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        let hash = random::digest(token.expose());
        // One that was forgotten was used, long ago.
        let login = token::login_of(self.seal(), token);
        let login = store::lock_login(&mut transaction, login, &hash).await?.ok_or(Refused::LoginEnded)?;
        let now = self.now();
        if login.revoked || login.expires_at <= now {
            return Err(Refused::LoginEnded);
        }
        let account = accounts::store::get(&mut *transaction, login.account).await?.ok_or(Refused::LoginEnded)?;
        if let Some(reason) = account.ban_reason {
            return Err(Refused::Banned { reason });
        }
        let held = store::token(&mut transaction, &hash).await?;
        let use_of_it = held.as_ref().map_or(Use::Stolen, |held| {
            meaning(held.used_at, held.uses, held.contested, now, self.settings().refresh_grace)
        });
        let contested = match use_of_it {
            Use::Stolen => {
                self.end_reused(transaction, &account, login.id, origin).await?;
                return Err(Refused::LoginEnded);
            }
            Use::First => store::set_others_aside(&mut transaction, login.id, &hash, now).await?,
            Use::Again => true,
        };
        store::use_token(&mut transaction, &hash, now).await?;
        let refresh_expires_at = (now + self.settings().login_idle).min(login.ends_at);
        store::touch(&mut transaction, login.id, now, refresh_expires_at, origin).await?;
        let refresh = self.hand_out(&mut transaction, login.id, contested, now).await?;
        transaction.commit().await?;
        let second_factor = login.second_factor && account.has_second_factor();
        let (login, proved_at) = (login.id, login.proved_at);
        self.opened(Begun { account, login, proved_at, second_factor, refresh, refresh_expires_at })
    }

    async fn end_reused(
        &self,
        mut transaction: sqlx::Transaction<'static, sqlx::Postgres>,
        account: &Account,
        login: LoginId,
        origin: &Origin,
    ) -> Result<(), Refused> {
        let now = self.now();
        let ended = store::revoke(&mut transaction, account.id, Some(login), None, "reused", now).await?;
        let entry = Entry::new("login.reused", "nobody").on(login).with(json!({"account": account.id}));
        self.audit(&mut transaction, origin, entry).await?;
        let what = "One of your sessions was ended: its refresh token was used a second time, which happens when \
                    somebody has stolen it. Sign in again.";
        self.notifications().put(&mut transaction, &letters::notice(account, what, origin)).await?;
        transaction.commit().await?;
        self.notifications().wake();
        self.ended(ended);
        Ok(())
    }

    /// Signs out with the refresh token. One that is unknown or over is fine: nobody is signed in with it.
    pub(crate) async fn log_out(&self, token: &Secret, origin: &Origin) -> Result<(), Refused> {
        let mut transaction = self.pool().connections().begin().await?;
        let (login, hash) = (token::login_of(self.seal(), token), random::digest(token.expose()));
        let Some(login) = store::lock_login(&mut transaction, login, &hash).await? else {
            return Ok(());
        };
        let now = self.now();
        let ended = store::revoke(&mut transaction, login.account, Some(login.id), None, "logged_out", now).await?;
        if !ended.is_empty() {
            self.audit(&mut transaction, origin, Entry::new("login.ended", login.account).on(login.id)).await?;
        }
        transaction.commit().await?;
        self.ended(ended);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRACE: Span = Span::seconds(10);

    /// A login's tokens, as the table keeps them.
    #[derive(Default)]
    struct Family {
        tokens: Vec<(Option<Timestamp>, i16, bool)>,
        ended: bool,
    }

    impl Family {
        fn new() -> Self {
            Self { tokens: vec![(None, 0, false)], ended: false }
        }

        /// Uses a token; the place of the next one.
        fn refresh(&mut self, n: usize, now: Timestamp) -> Option<usize> {
            let (used_at, uses, contested) = self.tokens[n];
            let use_of_it = meaning(used_at, uses, contested, now, GRACE);
            if self.ended || use_of_it == Use::Stolen {
                self.ended = true;
                return None;
            }
            self.tokens[n] = (Some(used_at.unwrap_or(now)), uses + 1, contested);
            let mut contested = use_of_it == Use::Again;
            if !contested {
                for rival in self.tokens.iter_mut().filter(|token| token.0.is_none()) {
                    (rival.0, contested) = (Some(now), true);
                }
            }
            self.tokens.push((None, 0, contested));
            Some(self.tokens.len() - 1)
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Span::seconds(seconds)
    }

    #[test]
    fn a_double_click_signs_nobody_out_whichever_answer_is_kept() {
        for keeps_first in [true, false] {
            let mut family = Family::new();
            let (one, other) = (family.refresh(0, at(600)).unwrap(), family.refresh(0, at(600)).unwrap());
            let mut kept = if keeps_first { one } else { other };
            for round in 2..20 {
                kept = family.refresh(kept, at(600 * round)).unwrap();
            }
        }
    }

    #[test]
    fn a_page_that_used_the_other_answer_at_once_may_go_on_once() {
        let mut family = Family::new();
        let (one, other) = (family.refresh(0, at(600)).unwrap(), family.refresh(0, at(600)).unwrap());
        let (_, last) = (family.refresh(other, at(601)).unwrap(), family.refresh(one, at(602)).unwrap());
        assert!(family.refresh(last, at(1200)).is_some());
    }

    proptest! {
        /// However a thief times it, even right after each of the owner's refreshes: the thief is out, or both are.
        #[test]
        fn two_who_go_on_from_one_token_do_not_both_go_on(
            first_is_owner: bool,
            lag in 0_i64..=10,
            leads in prop::collection::vec(any::<bool>(), 2),
        ) {
            let mut family = Family::new();
            let mut holders = [family.refresh(0, at(600)), family.refresh(0, at(600 + lag))];
            if !first_is_owner {
                holders.swap(0, 1);
            }
            for (round, owner_leads) in leads.iter().enumerate() {
                let start = 600 * (round as i64 + 2);
                let order = if *owner_leads { [0, 1] } else { [1, 0] };
                for (n, who) in order.into_iter().enumerate() {
                    let now = at(start + n as i64 * lag);
                    holders[who] = holders[who].and_then(|token| family.refresh(token, now));
                }
            }
            prop_assert!(family.ended);
        }
    }
}
