//! The HTTP front: WHIP, WHEP, sessions, health.
