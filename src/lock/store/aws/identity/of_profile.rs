//! The credentials of a profile: keys, a role through another profile, a login, a program, or what the machine
//! provides.

use std::collections::BTreeSet;
use std::time::Duration;

use super::choice::Resolving;
use super::{Identity, IdentityError, Process, SingleSignOn, Source};
use crate::lock::store::aws::endpoints::{Asker, Service, endpoint};
use crate::lock::store::aws::profile::{Profile, ProfileError};
use crate::lock::store::aws::settings::Role;

/// A profile, linked to the one that it takes its credentials from.
pub(super) struct Linked {
    profile: Profile,
    /// The second time in a chain, a profile counts only with its credentials.
    with_role: bool,
    source: Option<Box<Self>>,
}

impl Linked {
    fn source_profile(&self) -> Option<&str> {
        self.profile
            .text("source_profile")
            .filter(|_| self.with_role)
    }

    fn has_credentials(&self) -> bool {
        let any = |keys: &[&str]| keys.iter().any(|key| self.profile.text(key).is_some());
        self.source_profile().is_some()
            || any(&[
                "credential_source",
                "credential_process",
                "web_identity_token_file",
            ])
            || uses_sso(&self.profile)
            || self.profile.keys().is_some()
    }
}

impl Resolving<'_> {
    pub(super) fn link(
        &self,
        name: &str,
        seen: &mut BTreeSet<String>,
    ) -> Result<Linked, IdentityError> {
        let profile = self.profiles.get(name)?;
        profile.check_keys()?;
        let mut linked = Linked {
            with_role: !seen.contains(name),
            profile,
            source: None,
        };
        let profile = &linked.profile;
        let kinds = [
            linked.source_profile().map(|_| "source_profile"),
            profile
                .text("credential_source")
                .map(|_| "credential_source"),
            profile
                .text("credential_process")
                .map(|_| "credential_process"),
            profile
                .text("web_identity_token_file")
                .map(|_| "web_identity_token_file"),
        ];
        let kinds: Vec<&str> = kinds.into_iter().flatten().collect();
        if linked.with_role
            && profile.text("role_arn").is_none()
            && let Some(kind) = kinds.iter().find(|kind| **kind != "credential_process")
        {
            return Err(profile
                .unusable(kind, &format!("has `{kind}` without `role_arn`"))
                .into());
        }
        if !seen.is_empty() && profile.keys().is_some() {
            return Ok(linked);
        }
        seen.insert(name.to_owned());
        if let [first, second, ..] = kinds.as_slice() {
            let reason = format!("has both `{first}` and `{second}`");
            return Err(profile.unusable(second, &reason).into());
        }
        if let Some(source) = linked.source_profile() {
            let unusable = |reason: &str| profile.unusable("source_profile", reason);
            let source = match self.link(source, seen) {
                Err(IdentityError::Profile(ProfileError::Missing { .. })) => {
                    return Err(unusable(&format!("names `{source}`, which does not exist")).into());
                }
                linked => linked?,
            };
            if !source.has_credentials() {
                let name = &source.profile.name;
                return Err(unusable(&format!("names `{name}`, which has no credentials")).into());
            }
            linked.source = Some(Box::new(source));
        }
        Ok(linked)
    }

    pub(super) fn of_linked(&self, linked: &Linked) -> Result<Identity, IdentityError> {
        let profile = &linked.profile;
        let role_arn = profile.text("role_arn").filter(|_| linked.with_role);
        let mut identity = if let Some(source) = &linked.source {
            self.of_linked(source)?
        } else if let Some(keys) = profile.keys() {
            Source::Keys(keys).into()
        } else if let Some(source) = profile.text("credential_source") {
            self.of_credential_source(profile, source)?.into()
        } else if let Some(file) = profile.text("web_identity_token_file") {
            let missing = || profile.unusable("web_identity_token_file", "has no `role_arn`");
            let arn = role_arn.ok_or_else(missing)?;
            // The role belongs to the token; do not assume it again.
            return Ok(self
                .web_identity(file, arn, profile.text("role_session_name"))
                .into());
        } else if uses_sso(profile) {
            Source::SingleSignOn(self.single_sign_on(profile)?).into()
        } else if let Some(command) = profile.text("credential_process") {
            Source::Process(Process {
                profile: profile.name.clone(),
                command: command.to_owned(),
                directory: self.settings.directory.clone(),
            })
            .into()
        } else {
            self.of_surroundings()?.into()
        };
        if let Some(arn) = role_arn {
            if profile.text("mfa_serial").is_some() {
                let reason =
                    "needs an MFA code for `mfa_serial`, which terraform cannot ask for either";
                return Err(profile.unusable("mfa_serial", reason).into());
            }
            let role = Role {
                arn: arn.to_owned(),
                session_name: profile.text("role_session_name").map(str::to_owned),
                external_id: profile.text("external_id").map(str::to_owned),
                duration: profile.role_seconds().map(Duration::from_secs),
                ..Role::default()
            };
            identity.roles.push(self.assumed(role, Asker::Chain));
        }
        Ok(identity)
    }

    fn of_credential_source(
        &self,
        profile: &Profile,
        source: &str,
    ) -> Result<Source, IdentityError> {
        match source {
            "Ec2InstanceMetadata" => self.instance_metadata(),
            "Environment" => match self.keys_of_environment() {
                Some(keys) => Ok(Source::Keys(keys)),
                None => Err(IdentityError::NoKeysInEnvironment {
                    profile: profile.name.clone(),
                }),
            },
            "EcsContainer" => self.container()?.ok_or_else(|| {
                let reason = "takes its credentials from a container's endpoint, but there is none";
                profile.unusable("credential_source", reason).into()
            }),
            _ => {
                let reason = "has a `credential_source` that is none of `EcsContainer`, \
                              `Ec2InstanceMetadata` and `Environment`";
                Err(profile.unusable("credential_source", reason).into())
            }
        }
    }

    fn single_sign_on(&self, profile: &Profile) -> Result<SingleSignOn, IdentityError> {
        let text = |key: &str| profile.text(key).unwrap_or_default().to_owned();
        let mut found = SingleSignOn {
            profile: profile.name.clone(),
            session: profile.text("sso_session").map(str::to_owned),
            start_url: text("sso_start_url"),
            region: text("sso_region"),
            account: text("sso_account_id"),
            role: text("sso_role_name"),
            endpoint: endpoint(self.settings, self.current, Service::Sso, Asker::Chain),
            token_endpoint: endpoint(self.settings, self.current, Service::SsoOidc, Asker::Chain),
            cache: self.settings.home().map(|home| home.join(".aws/sso/cache")),
        };
        let Some(name) = &found.session else {
            for key in [
                "sso_region",
                "sso_start_url",
                "sso_account_id",
                "sso_role_name",
            ] {
                if profile.text(key).is_none() {
                    let set = [
                        "sso_start_url",
                        "sso_account_id",
                        "sso_region",
                        "sso_role_name",
                    ];
                    let set = set.into_iter().find(|key| profile.text(key).is_some());
                    let reason = format!("uses IAM Identity Center but has no `{key}`");
                    return Err(profile.unusable(set.unwrap_or(key), &reason).into());
                }
            }
            return Ok(found);
        };
        let unusable = |reason: String| profile.unusable("sso_session", &reason);
        let Some(session) = self.profiles.sso_session(name) else {
            return Err(unusable(format!(
                "names the sso-session `{name}`, which does not exist"
            ))
            .into());
        };
        for (key, own, of_session) in [
            ("sso_region", &found.region, &session.region),
            ("sso_start_url", &found.start_url, &session.start_url),
        ] {
            if of_session.is_empty() {
                return Err(unusable(format!(
                    "names the sso-session `{name}`, which has no `{key}`"
                ))
                .into());
            }
            if !own.is_empty() && own != of_session {
                return Err(unusable(format!(
                    "has a different `{key}` than its sso-session `{name}`"
                ))
                .into());
            }
        }
        found.region = session.region;
        found.start_url = session.start_url;
        Ok(found)
    }
}

fn uses_sso(profile: &Profile) -> bool {
    let keys = [
        "sso_session",
        "sso_region",
        "sso_account_id",
        "sso_start_url",
        "sso_role_name",
    ];
    keys.into_iter().any(|key| profile.text(key).is_some())
}
