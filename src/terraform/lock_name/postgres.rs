//! The database of a PostgreSQL connection string: a URL, or words such as `host=db dbname=tf`.
//!
//! Never keeps the user or the password.

use std::collections::HashMap;

const DEFAULT_PORT: &str = "5432";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) host: String,
    pub(super) name: String,
}

/// The database, or `None` if host or name comes from the environment, or the server is a local socket.
pub(super) fn database(connection: &str) -> Option<Database> {
    let url = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| connection.strip_prefix(scheme));
    let parameters = match url {
        Some(rest) => of_url(rest),
        None => of_words(connection)?,
    };
    let get = |key: &str| parameters.get(key).filter(|value| !value.is_empty());
    let host = get("host").or_else(|| get("hostaddr"))?;
    let is_socket = host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
    if is_socket {
        return None;
    }
    let port = get("port").map_or(DEFAULT_PORT, String::as_str);
    Some(Database {
        host: format!("{}:{port}", host.to_ascii_lowercase()),
        name: get("dbname")?.clone(),
    })
}

/// Parses `user:password@host:port/dbname?key=value`; keys of the query win.
fn of_url(rest: &str) -> HashMap<String, String> {
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A password may contain a slash, but no unencoded `@`.
    let server = before.rsplit_once('@').map_or(before, |(_, server)| server);
    let (authority, name) = server.split_once('/').unwrap_or((server, ""));
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, port),
        _ => (authority, ""),
    };
    let mut parameters = HashMap::new();
    for (key, value) in [("host", host), ("port", port), ("dbname", name)] {
        parameters.insert(key.to_owned(), value.to_owned());
    }
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        parameters.insert(key.to_owned(), value.to_owned());
    }
    parameters
}

/// Parses `key=value key='a value'`, with backslash escapes for quote and backslash; `None` if malformed.
fn of_words(text: &str) -> Option<HashMap<String, String>> {
    let mut parameters = HashMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (is_quoted, body) = match after.strip_prefix('\'') {
            Some(body) => (true, body),
            None => (false, after),
        };
        let mut value = String::new();
        let mut characters = body.chars();
        let mut is_closed = !is_quoted;
        while let Some(character) = characters.next() {
            match character {
                '\\' => value.push(characters.next()?),
                '\'' if is_quoted => {
                    is_closed = true;
                    break;
                }
                blank if !is_quoted && blank.is_whitespace() => break,
                other => value.push(other),
            }
        }
        if !is_closed {
            return None;
        }
        parameters.insert(key.trim().to_owned(), value);
        rest = characters.as_str().trim_start();
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(connection: &str) -> Option<String> {
        database(connection).map(|database| format!("{} {}", database.host, database.name))
    }

    #[test]
    fn urls_and_words_name_the_same_database() {
        for connection in [
            "postgres://db/tf",
            "postgresql://u@DB/tf?sslmode=disable",
            "postgres://u:p/w@db:5432/tf",
            "postgres://u:p@/x?host=db&dbname=tf",
            "host=db dbname=tf user=u password=p",
            "user = u  host = db password='a b\\' host=x' dbname='tf'",
        ] {
            assert_eq!(
                found(connection).as_deref(),
                Some("db:5432 tf"),
                "{connection}"
            );
        }
        assert_eq!(
            found("postgres://db:6432/tf").as_deref(),
            Some("db:6432 tf")
        );
        assert_eq!(
            found("postgres://u@[::1]:6432/tf").as_deref(),
            Some("[::1]:6432 tf")
        );
    }

    #[test]
    fn without_host_and_database_there_is_no_database() {
        for connection in [
            "",
            "postgres://",
            "postgres://db",
            "postgres:///tf",
            "postgres://%2Frun/tf",
            "host=/run dbname=tf",
            "host=db",
            "dbname=tf",
            "db",
            "host='db dbname=tf",
        ] {
            assert_eq!(found(connection), None, "{connection}");
        }
    }

    proptest! {
        #[test]
        fn neither_user_nor_password_is_ever_found(host in "[a-z]{1,8}", name in "[a-z]{1,8}") {
            for connection in [
                format!("postgres://USER:SECRET@{host}/{name}?password=SECRET&user=USER"),
                format!("user=USER password='SECRET' host={host} dbname={name}"),
            ] {
                let database = database(&connection).unwrap();
                let expected = Database { host: format!("{host}:5432"), name: name.clone() };
                prop_assert_eq!(database, expected);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "(postgres://)?[a-z=' \\\\@:/?&%]{0,30}") {
            let _ = database(&text);
        }
    }
}
