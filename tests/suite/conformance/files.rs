//! `~/.aws` in the spellings that people have.

use super::conform;
use super::row::{Row, row};

/// The default profile in the credentials file.
fn credentials(name: &'static str, content: impl Into<Vec<u8>>) -> Row {
    row(name)
        .credentials(content)
        .var("AWS_EC2_METADATA_DISABLED", "true")
}

/// A profile in the config file.
fn config(name: &'static str, profile: &str, content: impl Into<Vec<u8>>) -> Row {
    row(name)
        .config(content)
        .var("AWS_PROFILE", profile)
        .var("AWS_EC2_METADATA_DISABLED", "true")
}

#[test]
fn spellings_of_settings() {
    conform(&[
        credentials(
            "indented",
            "[default]\n  aws_access_key_id = K\n  aws_secret_access_key = s\n",
        )
        .signed_by("K"),
        credentials(
            "indented by tabs, without blanks round the sign",
            "[default]\n\taws_access_key_id=K\n\taws_secret_access_key=s\n",
        )
        .signed_by("K"),
        credentials(
            "colons",
            "[default]\naws_access_key_id: K\naws_secret_access_key: s\n",
        )
        .signed_by("K"),
        credentials(
            "quoted",
            "[default]\naws_access_key_id = \"K\"\naws_secret_access_key = 's'\n",
        )
        .signed_by("K"),
        credentials(
            "capitals",
            "[default]\nAWS_Access_Key_ID = K\nAWS_SECRET_ACCESS_KEY = s\n",
        )
        .signed_by("K"),
        credentials(
            "comments",
            "# c\n; c\n[default] # c\naws_access_key_id = K # c\naws_secret_access_key = s ; c\n  # c\n",
        )
        .signed_by("K"),
        credentials(
            "a hash in the key",
            "[default]\naws_access_key_id = K#1\naws_secret_access_key = s\n",
        )
        .signed_by("K#1"),
        credentials(
            "lines of Windows",
            "[default]\r\naws_access_key_id = K\r\naws_secret_access_key = s\r\n",
        )
        .signed_by("K"),
        credentials(
            "text before the first section, a line without a sign, an empty value",
            "hello\nx = 1\n[default]\nnonsense\nregion =\naws_access_key_id = K\naws_secret_access_key = s\n",
        )
        .signed_by("K"),
        credentials(
            "twice",
            "[default]\naws_access_key_id = OLD\naws_access_key_id = K\naws_secret_access_key = s\n",
        )
        .signed_by("K"),
        credentials(
            "a section twice",
            "[default]\naws_access_key_id = K\n[x]\n[default]\naws_secret_access_key = s\n",
        )
        .signed_by("K"),
        credentials(
            "not UTF-8",
            b"# \xe9\xe8\n[default]\nname = \xff\xfe\naws_access_key_id = K\naws_secret_access_key = s\n".to_vec(),
        )
        .signed_by("K"),
        credentials("empty keys", "[default]\naws_access_key_id =\naws_secret_access_key =\n"),
        credentials("half a pair", "[default]\naws_access_key_id = K\n"),
        credentials("empty file", ""),
        credentials(
            "half a pair in a profile that is not asked for",
            "[default]\naws_access_key_id = K\naws_secret_access_key = s\n[x]\naws_access_key_id = X\n",
        )
        .signed_by("K"),
    ]);
}

#[test]
fn spellings_of_sections() {
    let keys = "aws_access_key_id = K\naws_secret_access_key = s\n";
    let text = |section: &str| format!("{section}\n{keys}");
    conform(&[
        config("blanks", "dev", text("[ profile   dev ]")).signed_by("K"),
        config("a tab", "dev", text("[profile\tdev]")).signed_by("K"),
        config("indented", "dev", text("  [profile dev]")).signed_by("K"),
        config("blanks in the name", "my dev", text("[profile my dev]")).signed_by("K"),
        config("parentheses and accents", "dév (old)", text("[profile dév (old)]")).signed_by("K"),
        config("a colon and a slash", "a:b/c@d", text("[profile a:b/c@d]")).signed_by("K"),
        config("quotes belong to the name", "dev", text("[profile \"dev\"]")),
        config("without the prefix", "dev", text("[dev]")),
        config("the default one with the prefix", "default", text("[profile default]")).signed_by("K"),
        config(
            "the default one with and without the prefix",
            "default",
            format!("[profile default]\n{keys}[default]\naws_access_key_id = NO\naws_secret_access_key = s\n"),
        )
        .signed_by("K"),
        config("another case", "Dev", text("[profile dev]")),
        config("no end", "dev", text("[profile dev")),
        row("the prefix in the credentials file")
            .credentials(text("[profile dev]"))
            .var("AWS_PROFILE", "dev"),
        row("a name with a blank in the credentials file")
            .credentials(text("[my  dev]"))
            .var("AWS_PROFILE", "my dev")
            .signed_by("K"),
    ]);
}
