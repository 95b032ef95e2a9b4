//! Accounts and memberships as rows.

use sqlx::AnyConnection;
use tollgate_core::{
    authz::Role,
    id::{TenantId, UserId},
    secret::Secret,
};

use crate::{
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    sql::{Columns as _, Row, all, built, one, run, sql},
};

/// The longest e-mail address (RFC 5321 §4.5.3.1.3, less the brackets).
pub(crate) const EMAIL_BYTES_MAX: usize = 254;

/// The longest name of a person.
pub(crate) const NAME_CHARS_MAX: usize = 200;

/// A person.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// The e-mail address as it was written.
    pub email: String,
    /// The name for people.
    pub name: String,
    /// The argon2id PHC string; `None` for who signs in elsewhere, or was invited and never came.
    pub password_hash: Option<Secret<String>>,
    /// Whether a second factor is asked for.
    pub has_second_factor: bool,
    /// The version of its row.
    pub version: u64,
}

/// What a person is in a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: Named<TenantId>,
    /// The role.
    pub role: Role,
}

const COLUMNS: &str = "id, email, name, password_hash, totp_secret, version";

impl Store {
    /// The account that signs in with this e-mail address and a password; capitals do not matter.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_by_login(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let mut conn = self.reader().await?;
        let text = format!("SELECT {COLUMNS} FROM accounts WHERE login = $1");
        let row = one(built(text).bind(login_of(email)), &mut conn).await?;
        row.as_ref().map(account_of).transpose()
    }

    /// An account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn account(&self, id: UserId) -> Result<Account, StoreError> {
        let mut conn = self.reader().await?;
        load_account(&mut conn, id).await
    }

    /// What a person is in which tenants, by the tenants' names.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn memberships(&self, account: UserId) -> Result<Vec<Membership>, StoreError> {
        let mut conn = self.reader().await?;
        let text = "SELECT m.tenant, t.name, m.role FROM members m JOIN tenants t ON t.id = m.tenant \
                    WHERE m.account = $1 ORDER BY t.name";
        let rows = all(sql(text).bind(account.to_sql()), &mut conn).await?;
        rows.iter()
            .map(|row| {
                let tenant = Named { id: TenantId::from_sql(row.int(0)?), name: row.text(1)?.to_owned() };
                Ok(Membership { tenant, role: role(row.text(2)?)? })
            })
            .collect()
    }
}

pub(crate) async fn load_account(conn: &mut AnyConnection, id: UserId) -> Result<Account, StoreError> {
    let text = format!("SELECT {COLUMNS} FROM accounts WHERE id = $1");
    let row = one(built(text).bind(id.to_sql()), conn).await?;
    account_of(&row.ok_or_else(|| StoreError::not_found(Entity::User, id))?)
}

fn account_of(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: UserId::from_sql(row.int(0)?),
        email: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        password_hash: row.opt_text(3)?.map(|hash| Secret::new(hash.to_owned())),
        has_second_factor: row.opt_blob(4)?.is_some(),
        version: row.count(5)?,
    })
}

/// A new account, as its row.
pub(crate) struct NewAccount<'a> {
    pub(crate) id: UserId,
    pub(crate) email: &'a str,
    /// Whether it signs in with its e-mail address and a password.
    pub(crate) is_local: bool,
    pub(crate) name: &'a str,
    pub(crate) password_hash: Option<&'a Secret<String>>,
    pub(crate) created_us: i64,
}

pub(crate) async fn insert_account(conn: &mut AnyConnection, new: NewAccount<'_>) -> Result<(), StoreError> {
    let insert = "INSERT INTO accounts (id, email, login, name, password_hash, totp_step, created_us, version) \
                  VALUES ($1, $2, $3, $4, $5, 0, $6, 1)";
    let insert = sql(insert)
        .bind(new.id.to_sql())
        .bind(new.email.to_owned())
        .bind(new.is_local.then(|| login_of(new.email)))
        .bind(new.name.to_owned())
        .bind(new.password_hash.map(|hash| hash.expose().clone()))
        .bind(new.created_us);
    run(insert, conn).await?;
    Ok(())
}

/// A new membership, as its row.
pub(crate) struct NewMember<'a> {
    pub(crate) account: UserId,
    pub(crate) tenant: TenantId,
    pub(crate) role: Role,
    /// `local`, or the identity provider whose groups decide on the role.
    pub(crate) source: &'a str,
    pub(crate) created_us: i64,
}

pub(crate) async fn insert_member(conn: &mut AnyConnection, new: NewMember<'_>) -> Result<(), StoreError> {
    let insert = "INSERT INTO members (account, tenant, role, source, created_us, version) \
                  VALUES ($1, $2, $3, $4, $5, 1)";
    let insert = sql(insert)
        .bind(new.account.to_sql())
        .bind(new.tenant.to_sql())
        .bind(new.role.name())
        .bind(new.source.to_owned())
        .bind(new.created_us);
    run(insert, conn).await?;
    Ok(())
}

/// The role in a row. One that this version does not know is no role.
pub(crate) fn role(text: &str) -> Result<Role, StoreError> {
    text.parse().map_err(|_| StoreError::corrupt("a member has a role that this version does not know"))
}

/// The spelling in which e-mail addresses are compared.
pub(crate) fn login_of(email: &str) -> String {
    email.trim().to_lowercase()
}

/// What is wrong with the name of a person. An empty one is none, which is no mistake.
pub(crate) fn name_problem(text: &str) -> Option<String> {
    if text.chars().any(char::is_control) {
        return Some("it has signs that cannot be shown; leave them away".to_owned());
    }
    let length = text.chars().count();
    (length > NAME_CHARS_MAX)
        .then(|| format!("it has {length} characters; at most {NAME_CHARS_MAX} are allowed"))
}

/// What is wrong with an e-mail address. Enough of a check to catch a slip: one `@` with something
/// on both sides, no space or control.
pub(crate) fn email_problem(text: &str) -> Option<&'static str> {
    let plain =
        text.len() <= EMAIL_BYTES_MAX && !text.chars().any(|sign| sign.is_whitespace() || sign.is_control());
    let parts: Vec<&str> = text.split('@').collect();
    let good = plain && matches!(parts.as_slice(), [user, host] if !user.is_empty() && !host.is_empty());
    (!good).then_some("it is no e-mail address; write `you@example.com`")
}
