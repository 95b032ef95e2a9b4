//! What people do with their own account: password, second factor, sessions.

use tollgate_core::{authz::Action, id::SessionId, key::Digest, secret::Secret};
use tollgate_store::{OwnChange, SessionView};

use super::{caller::Caller, local::recovery_digest, totp};
use crate::{
    problem::Refused,
    session::SignedIn,
    state::{App, random},
};

/// Recovery codes made at once.
const RECOVERY_CODES: usize = 10;
/// Characters of a recovery code, five bits each.
const RECOVERY_CHARS: usize = 20;

/// A second factor that waits for its first code.
pub(crate) struct Enrolment {
    /// The secret as people type it.
    pub(crate) secret: Secret<String>,
    /// The address that authenticator apps read from a QR code.
    pub(crate) otpauth_url: Secret<String>,
}

/// Sets a new password; the other sessions end.
pub(crate) async fn change_password(
    app: &App,
    caller: &Caller,
    who: &SignedIn,
    (current, new): (Secret<String>, Secret<String>),
) -> Result<(), Refused> {
    let permit = who.own_permit(Action::ChangeOwnAccount)?;
    app.throttle().take_own(who.user, caller.address, app.mono_ns())?;
    let account = app.store().account(who.user).await?;
    if !app.passwords().verify(caller.address, current, account.password_hash).await? {
        return Err(Refused::invalid("current_password", "it is not the present password"));
    }
    app.throttle().give_back_own(who.user, caller.address);
    let hash = app.passwords().hash(caller.address, ("new_password", new)).await?;
    app.store().set_password(&permit, own_change(who), &hash, app.now_us()).await?;
    Ok(())
}

/// Begins a second factor: a secret that counts once a code of it was shown.
pub(crate) async fn begin_second_factor(app: &App, who: &SignedIn) -> Result<Enrolment, Refused> {
    let permit = who.own_permit(Action::ChangeOwnAccount)?;
    let bytes: Secret<[u8; totp::SECRET_BYTES]> = random()?;
    let secret = Secret::new(bytes.expose().to_vec());
    app.store().begin_second_factor(&permit, own_change(who), &secret, app.now_us()).await?;
    Ok(enrolment(&secret, who))
}

/// The second factor that was begun and waits for its first code.
pub(crate) async fn pending_second_factor(app: &App, who: &SignedIn) -> Result<Option<Enrolment>, Refused> {
    who.own_permit(Action::ChangeOwnAccount)?;
    let pending = app.store().second_factor(who.user).await?.pending;
    Ok(pending.map(|secret| enrolment(&secret, who)))
}

fn enrolment(secret: &Secret<Vec<u8>>, who: &SignedIn) -> Enrolment {
    Enrolment {
        secret: Secret::new(totp::base32(secret.expose())),
        otpauth_url: totp::otpauth_url(secret, &who.email),
    }
}

/// Makes the begun second factor count; the recovery codes, which are shown this once.
pub(crate) async fn confirm_second_factor(
    app: &App,
    caller: &Caller,
    who: &SignedIn,
    code: &Secret<String>,
) -> Result<Vec<Secret<String>>, Refused> {
    let permit = who.own_permit(Action::ChangeOwnAccount)?;
    app.throttle().take_own(who.user, caller.address, app.mono_ns())?;
    let factor = app.store().second_factor(who.user).await?;
    let pending = factor
        .pending
        .ok_or_else(|| Refused::Conflict("no second factor was begun; begin it again".to_owned()))?;
    let step =
        totp::matching_step(&pending, code.expose(), factor.last_step, app.now_us()).ok_or_else(|| {
            Refused::invalid(
                "code",
                "it is not the present code; check the clock of the phone, then use a new one",
            )
        })?;
    app.throttle().give_back_own(who.user, caller.address);
    let codes = recovery_codes()?;
    let digests: Vec<Digest> = codes.iter().map(|code| recovery_digest(code.expose())).collect();
    app.store()
        .confirm_second_factor(&permit, own_change(who), (&pending, step, &digests), app.now_us())
        .await?;
    Ok(codes)
}

/// Takes the second factor away.
pub(crate) async fn remove_second_factor(app: &App, who: &SignedIn) -> Result<(), Refused> {
    let permit = who.own_permit(Action::ChangeOwnAccount)?;
    app.store().remove_second_factor(&permit, own_change(who), app.now_us()).await?;
    Ok(())
}

/// The own sessions, last used first.
pub(crate) async fn sessions(app: &App, who: &SignedIn) -> Result<Vec<SessionView>, Refused> {
    who.permit(Action::UseOwnAccount)?;
    Ok(app.store().sessions_of(who.user, app.options().limits(), app.now_us()).await?)
}

/// Ends an own session.
pub(crate) async fn end_session(app: &App, who: &SignedIn, id: SessionId) -> Result<(), Refused> {
    let permit = who.own_permit(Action::UseOwnAccount)?;
    app.store().end_session(&permit, (who.user, id), app.now_us()).await?;
    Ok(())
}

/// Ends all own sessions but the present one; how many.
pub(crate) async fn end_other_sessions(app: &App, who: &SignedIn) -> Result<usize, Refused> {
    let present = who.session.as_ref().map(|session| session.id);
    let mut ended = 0;
    for session in sessions(app, who).await?.iter().filter(|session| Some(session.id) != present) {
        match end_session(app, who, session.id).await {
            // It ended by itself meanwhile.
            Ok(()) | Err(Refused::NotFound(_)) => ended += 1,
            Err(refused) => return Err(refused),
        }
    }
    Ok(ended)
}

fn own_change(who: &SignedIn) -> OwnChange {
    OwnChange {
        account: who.user,
        tenant: who.tenant.id,
        session: who.session.as_ref().map(|session| session.id),
    }
}

/// Codes of 100 random bits, `abcde-fghij-klmno-pqrst`.
fn recovery_codes() -> Result<Vec<Secret<String>>, Refused> {
    let code = || {
        let bytes: Secret<[u8; 15]> = random()?;
        let text = totp::base32(bytes.expose()).to_ascii_lowercase();
        let mut code = String::new();
        for (index, sign) in text.chars().take(RECOVERY_CHARS).enumerate() {
            if index > 0 && index % 5 == 0 {
                code.push('-');
            }
            code.push(sign);
        }
        Ok(Secret::new(code))
    };
    (0..RECOVERY_CODES).map(|_| code()).collect()
}
