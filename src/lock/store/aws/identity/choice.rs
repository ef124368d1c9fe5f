//! The order of precedence among backend, environment and profiles.

use std::collections::BTreeSet;

use super::{Assumed, Identity, IdentityError, Source};
use crate::lock::store::aws::endpoints::{Asker, Endpoint, Service, endpoint};
use crate::lock::store::aws::profile::{Profile, ProfileError, Profiles};
use crate::lock::store::aws::settings::{
    AwsSettings, Role, StaticKeys, WebIdentity, WebIdentityToken,
};

/// The run's profile; `None` if none was named and there is no default one.
pub(in super::super) fn current_profile(
    settings: &AwsSettings,
    profiles: &Profiles,
) -> Result<Option<Profile>, ProfileError> {
    let must_exist = settings.profile.is_some() || settings.variables.get("AWS_PROFILE").is_some();
    match profiles.get(profile_name(settings)) {
        Ok(profile) => Ok(Some(profile)),
        Err(ProfileError::Missing { .. }) if !must_exist => Ok(None),
        Err(error) => Err(error),
    }
}

fn profile_name(settings: &AwsSettings) -> &str {
    let variables = &settings.variables;
    let named = settings.profile.as_deref();
    named
        .or_else(|| variables.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]))
        .unwrap_or("default")
}

pub(in super::super) fn resolve(
    settings: &AwsSettings,
    profiles: &Profiles,
) -> Result<Identity, IdentityError> {
    let current = current_profile(settings, profiles)?;
    let resolving = Resolving {
        settings,
        profiles,
        current: current.as_ref(),
    };
    let mut identity = resolving.initial()?;
    let role = settings.role.clone();
    let role = role.map(|role| resolving.assumed(role, Asker::Client));
    identity.roles.extend(role);
    Ok(identity)
}

pub(super) struct Resolving<'a> {
    pub(super) settings: &'a AwsSettings,
    pub(super) profiles: &'a Profiles,
    /// The run's profile, whose settings apply whatever provides the credentials.
    pub(super) current: Option<&'a Profile>,
}

impl Resolving<'_> {
    /// The credentials before the backend's `assume_role`.
    fn initial(&self) -> Result<Identity, IdentityError> {
        let Self { settings, .. } = self;
        let variables = &settings.variables;
        if let Some(keys) = &settings.keys {
            if keys.access_key.is_empty() || keys.secret_key.is_empty() {
                return Err(IdentityError::HalfAPair);
            }
            return Ok(Source::Keys(keys.clone()).into());
        }
        if let Some(identity) = &settings.web_identity {
            let identity = self.assumed(identity.clone(), Asker::Client);
            return Ok(Source::WebIdentity(identity).into());
        }
        if settings.profile.is_some() {
            return self.of_profile();
        }
        if let Some(keys) = self.keys_of_environment() {
            return Ok(Source::Keys(keys).into());
        }
        if let Some(file) = variables.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let arn = variables.get("AWS_ROLE_ARN");
            let arn = arn.ok_or(IdentityError::NoRoleForToken)?;
            let session_name = variables.get("AWS_ROLE_SESSION_NAME");
            return Ok(self.web_identity(file, arn, session_name).into());
        }
        self.of_profile()
    }

    pub(super) fn keys_of_environment(&self) -> Option<StaticKeys> {
        let variables = &self.settings.variables;
        let access_key = variables.first(&["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"])?;
        let secret_key = variables.first(&["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"])?;
        Some(StaticKeys {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            token: variables.get("AWS_SESSION_TOKEN").map(str::to_owned),
        })
    }

    pub(super) fn web_identity(&self, file: &str, arn: &str, session_name: Option<&str>) -> Source {
        let identity = WebIdentity {
            role: Role {
                arn: arn.to_owned(),
                session_name: session_name.map(str::to_owned),
                ..Role::default()
            },
            token: WebIdentityToken::File(self.settings.path(file)),
        };
        Source::WebIdentity(self.assumed(identity, Asker::Chain))
    }

    /// For a role that is not set in the backend, `sts_region` counts only together with a custom endpoint.
    pub(super) fn assumed<T>(&self, role: T, asker: Asker) -> Assumed<T> {
        let endpoint = endpoint(self.settings, self.current, Service::Sts, asker);
        let counts = asker == Asker::Client || matches!(endpoint, Some(Endpoint::Own(_)));
        Assumed {
            role,
            endpoint,
            region: self.settings.sts_region.clone().filter(|_| counts),
        }
    }

    fn of_profile(&self) -> Result<Identity, IdentityError> {
        match self.current {
            Some(profile) => {
                let linked = self.link(&profile.name, &mut BTreeSet::new())?;
                self.of_linked(&linked)
            }
            None => Ok(self.of_surroundings()?.into()),
        }
    }
}
