//! A client's offer that keeps the rules.

use super::{
    check::{self, Fate},
    error::SdpError,
    text::Description,
    upstream,
};
use crate::session::Role;

/// DTLS role that an offer asks for or an answer takes (RFC 4145 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// It will open the handshake.
    Active,
    /// It waits for the other side's handshake.
    Passive,
    /// Either.
    ActPass,
}

impl Setup {
    /// Reads an offer's value; an offer without one means `active`.
    pub(super) fn of_offer(value: Option<&str>) -> Option<Self> {
        match value {
            None | Some("active") => Some(Self::Active),
            Some("passive") => Some(Self::Passive),
            Some("actpass") => Some(Self::ActPass),
            Some(_) => None,
        }
    }
}

/// An offer that SRS can serve and that the specifications allow. Made only by [`Offer::inspect`].
#[derive(Clone)]
pub struct Offer {
    pub(super) role: Role,
    pub(super) text: Description,
    /// One for each section.
    pub(super) fates: Vec<Fate>,
    ufrag: String,
    password: String,
    setup: Setup,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("role", &self.role).field("fates", &self.fates).finish_non_exhaustive()
    }
}

impl Offer {
    /// Reads an offer and checks that a client in this role may make it and SRS can serve it.
    ///
    /// # Errors
    /// The first rule it breaks; [`SdpError::status_hint`] is what to answer.
    pub fn inspect(bytes: &[u8], role: Role) -> Result<Self, SdpError> {
        let text = Description::parse(bytes)?;
        let fates = check::fates(&text)?;
        check::all(&text, &fates, role)?;
        let section = fates.iter().position(|fate| *fate == Fate::Media).ok_or(SdpError::NoMedia)?;
        let part = text.sections.get(section).ok_or(SdpError::NoMedia)?;
        let find = |name| check::transport(&text, part, name);
        let ufrag = find("ice-ufrag").ok_or(SdpError::NoIce { section })?.to_owned();
        let password = find("ice-pwd").ok_or(SdpError::NoIce { section })?.to_owned();
        let setup = Setup::of_offer(find("setup")).ok_or(SdpError::Setup { section })?;
        Ok(Self { role, ufrag, password, setup, fates, text })
    }

    /// What SRS is given: data channels and sections that are off removed, red, ulpfec, flexfec and their rtx removed, BUNDLE naming
    /// the sections that are there, values written so that SRS reads them as meant. All else as it came. CRLF lines.
    #[must_use]
    pub fn for_upstream(&self) -> String {
        upstream::write(self).write()
    }

    /// The role it was inspected for.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The client's ICE ufrag: the second half of the session's STUN username, and what a trickle fragment is compared with.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// The client's ICE password: a secret.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The DTLS role the client asks for. With [`Setup::Passive`] the node opens the handshake.
    #[must_use]
    pub const fn setup(&self) -> Setup {
        self.setup
    }

    /// The `mid` of each section, in order; `None` where a section that is off has none.
    pub fn mids(&self) -> impl ExactSizeIterator<Item = Option<&str>> {
        self.text.sections.iter().map(|section| section.mid())
    }

    /// Whether audio is offered.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.media().any(|(_, section)| section.is_audio())
    }

    /// Whether video is offered.
    #[must_use]
    pub fn has_video(&self) -> bool {
        self.media().any(|(_, section)| section.is_video())
    }

    /// Whether a data channel is offered; the answer will reject it.
    #[must_use]
    pub fn has_data_channel(&self) -> bool {
        self.fates.contains(&Fate::Data)
    }

    /// The sections that go to SRS, with their place in the offer.
    pub(super) fn media(&self) -> impl Iterator<Item = (usize, &super::text::Section)> {
        let all = self.text.sections.iter().zip(&self.fates).enumerate();
        all.filter(|(_, (_, fate))| **fate == Fate::Media).map(|(index, (section, _))| (index, section))
    }
}
