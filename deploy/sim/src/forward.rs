//! The edge beside a node, which hands its hooks to one control-api after the other, and what happens when none of them answers.

use crate::{
    control,
    exec::Sim,
    net::Proc,
    srs::{Action, Hook, Right},
};

/// How long one control-api may take before the next is asked.
const EACH_MS: u64 = 3_000;
/// How long a refused connection is tried: control-api is tried in turn, this long each.
const TURN_MS: u64 = 300;

/// What a control-api says to a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// It cannot say: a store is away.
    Away,
}

fn order(sim: &Sim) -> Vec<usize> {
    let mut w = sim.w();
    let mut all: Vec<usize> = (0..w.controls.len()).collect();
    w.dice.shuffle(&mut all);
    all
}

/// A hook that SRS waits for.
pub(crate) async fn ask(sim: &Sim, n: usize, hook: Hook) -> bool {
    let mut heard = false;
    for c in order(sim) {
        let within = if sim.w().linked(Proc::N(n), Proc::C(c)) { EACH_MS } else { TURN_MS };
        match sim.call(Proc::N(n), Proc::C(c), within, control::hooks::decide(sim.clone(), c, hook.clone())).await {
            Ok(Answer::Yes) => return true,
            Ok(Answer::No) => return false,
            Ok(Answer::Away) => heard = true,
            Err(_) => {}
        }
    }
    if heard {
        return false;
    }
    // Nobody answers: what an edge admitted a moment ago is let in and written down later.
    let good = matches!(&hook.right, Right::Ticket(ticket) if ticket.expires > sim.now());
    if good {
        let mut w = sim.w();
        w.seen("accepted by the journal");
        w.journal.push((n, hook));
    }
    good
}

/// A hook that SRS only tells.
pub(crate) async fn tell(sim: &Sim, n: usize, hook: Hook) {
    // What its client did before is not handed in yet, and comes first.
    if sim.w().journal.iter().any(|(_, before)| before.from == hook.from) {
        sim.w().journal.push((n, hook));
        return;
    }
    for c in order(sim) {
        if sim.call(Proc::N(n), Proc::C(c), TURN_MS, control::hooks::over(sim.clone(), c, hook.clone())).await.is_ok() {
            return;
        }
    }
    let mut w = sim.w();
    w.seen("hook lost");
    w.journal.push((n, hook));
}

/// A heartbeat.
pub(crate) async fn beat(sim: &Sim, n: usize) {
    for c in order(sim) {
        let (id, service) = {
            let w = sim.w();
            (w.nodes[n].id.clone(), w.nodes[n].service.clone())
        };
        if sim.call(Proc::N(n), Proc::C(c), TURN_MS, control::hooks::beat(sim.clone(), c, id, service)).await.is_ok() {
            return;
        }
    }
}

/// Hands in what was written down, in its order.
pub(crate) fn start(sim: &Sim) {
    let task = sim.clone();
    sim.spawn(Proc::Out, async move {
        loop {
            task.sleep(1_000).await;
            loop {
                let Some((n, hook)) = task.w().journal.first().cloned() else { break };
                let mut done = false;
                for c in order(&task) {
                    let (from, to, work) = (Proc::N(n), Proc::C(c), task.clone());
                    let hook = hook.clone();
                    let handed = match hook.action {
                        Action::Publish | Action::Play => {
                            task.call(from, to, EACH_MS, control::hooks::replay(work, c, hook)).await
                        }
                        Action::Unpublish | Action::Stop => {
                            task.call(from, to, EACH_MS, control::hooks::over(work, c, hook)).await
                        }
                    };
                    if handed == Ok(true) {
                        done = true;
                        break;
                    }
                }
                if !done {
                    break;
                }
                task.w().journal.remove(0);
            }
        }
    });
}
