//! Users and the hashes of their passwords, in a file of their own beside the sessions.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, PasswordHash};
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::Fault;

const USERS: TableDefinition<'_, &str, &str> = TableDefinition::new("users");

/// Argon2id takes 19 MiB each time: so many at once, the others wait.
const AT_ONCE: usize = 4;

#[derive(Clone)]
pub(crate) struct Users {
    database: Arc<Database>,
    /// What is compared with where there is no user, so that this takes as long.
    nobody: Arc<str>,
    turns: Arc<Semaphore>,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    /// All that this user may be granted.
    pub(crate) scopes: String,
    hash: String,
}

/// Which password a user has.
pub(crate) enum Password {
    Given,
    Kept,
    MadeUp(String),
}

impl Users {
    pub(crate) fn in_memory() -> Result<Self, Fault> {
        Self::with(Database::builder().create_with_backend(InMemoryBackend::new())?)
    }

    pub(crate) fn open(path: &str) -> Result<Self, Fault> {
        let file = open_private(path).map_err(in_file(path))?;
        let file = FileBackend::new(file).map_err(in_file(path))?;
        let database = Database::builder().create_with_backend(file);
        Self::with(database.map_err(in_file(path))?)
    }

    fn with(database: Database) -> Result<Self, Fault> {
        let writing = database.begin_write()?;
        writing.open_table(USERS)?;
        writing.commit()?;
        Ok(Self {
            database: Arc::new(database),
            nobody: hash(&random_password()?)?.into(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Adds a user, unless there is one of this name, with the password in this variable of the environment or a random one.
    pub(crate) fn seed(
        &self,
        name: &str,
        roles: &[&str],
        scopes: &str,
        variable: &str,
    ) -> Result<Password, Fault> {
        if self.find(name)?.is_some() {
            return Ok(Password::Kept);
        }
        let given = crate::variable(variable)?;
        let password = given.clone().map_or_else(random_password, Ok)?;
        let user = User {
            name: name.into(),
            roles: roles.iter().map(ToString::to_string).collect(),
            scopes: scopes.into(),
            hash: hash(&password)?,
        };
        let writing = self.database.begin_write()?;
        writing
            .open_table(USERS)?
            .insert(name, &*serde_json::to_string(&user)?)?;
        writing.commit()?;
        Ok(match given {
            Some(_) => Password::Given,
            None => Password::MadeUp(password),
        })
    }

    pub(crate) fn find(&self, name: &str) -> Result<Option<User>, Fault> {
        let table = self.database.begin_read()?.open_table(USERS)?;
        let user = table.get(name)?;
        Ok(user
            .map(|user| serde_json::from_str(user.value()))
            .transpose()?)
    }

    /// The user, if this is the password. A name that nobody has, however long, takes as long as a wrong password.
    pub(crate) async fn authenticate(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Option<User>, Fault> {
        let turn = Arc::clone(&self.turns).acquire_owned().await?;
        let (users, name, password) = (self.clone(), name.to_owned(), password.to_owned());
        // Tens of milliseconds of work, which no other request should wait for.
        tokio::task::spawn_blocking(move || {
            // It is over when the work is, not when a client hangs up.
            let _turn = turn;
            let user = users.find(&name)?;
            let hash = user.as_ref().map_or(&*users.nobody, |user| &*user.hash);
            let hash = PasswordHash::new(hash).map_err(|error| error.to_string())?;
            let matches = Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok();
            Ok(user.filter(|_| matches))
        })
        .await?
    }
}

/// Opens the file, or creates it with access for its owner only, because passwords can be guessed from their
/// hashes. Links are not followed.
fn open_private(path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(io::Error::other("it is not a regular file: remove it"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            options.create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        Err(error) => return Err(error),
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o007 != 0 {
        let problem = "every user of this machine has access: `chmod 600` it";
        return Err(io::Error::other(problem));
    }
    Ok(file)
}

/// Argon2id with the parameters that OWASP recommends, which are the defaults of the crate.
fn hash(password: &str) -> Result<String, Fault> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|error| error.to_string())?.to_string())
}

fn in_file<E: Display>(path: &str) -> impl FnOnce(E) -> Fault {
    move |error| format!("{path}: {error}").into()
}

fn random_password() -> Result<String, Fault> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
