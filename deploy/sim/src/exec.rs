//! Virtual time: tasks of simulated processes on one thread, woken in the order of their times and, at one time, in the order they asked.
//!
//! A task is a future that waits for nothing but time and [`Slot`]s. When its process dies, it is never polled again.

use crate::{net::Proc, world::World};
use std::{
    cell::{Cell, RefCell, RefMut},
    cmp::Reverse,
    collections::BinaryHeap,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

type Work = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    of: (Proc, u32),
    work: Work,
}

/// The clock, the tasks and the world; every clone is the same one.
#[derive(Clone)]
pub(crate) struct Sim(Rc<Inner>);

struct Inner {
    now: Cell<u64>,
    asked: Cell<u64>,
    current: Cell<usize>,
    steps: Cell<u64>,
    due: RefCell<BinaryHeap<Reverse<(u64, u64, usize)>>>,
    tasks: RefCell<Vec<Option<Task>>>,
    free: RefCell<Vec<usize>>,
    world: RefCell<World>,
}

/// Tasks of one seed at most: more is a leak of the harness.
const TASKS_MAX: usize = 50_000;

impl Sim {
    pub(crate) fn new(world: World) -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(0),
            asked: Cell::new(0),
            current: Cell::new(0),
            steps: Cell::new(0),
            due: RefCell::default(),
            tasks: RefCell::default(),
            free: RefCell::default(),
            world: RefCell::new(world),
        }))
    }

    /// Milliseconds since the seed began.
    pub(crate) fn now(&self) -> u64 {
        self.0.now.get()
    }

    /// The world. Never kept over an await.
    pub(crate) fn w(&self) -> RefMut<'_, World> {
        self.0.world.borrow_mut()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.0.steps.get()
    }

    fn wake_at(&self, at: u64, task: usize) {
        let asked = self.0.asked.get();
        self.0.asked.set(asked + 1);
        self.0.due.borrow_mut().push(Reverse((at, asked, task)));
    }

    /// Starts a task of a process; nothing when the process is not up.
    pub(crate) fn spawn(&self, of: Proc, work: impl Future<Output = ()> + 'static) {
        let Some(life) = self.w().life(of) else { return };
        let task = Task { of: (of, life), work: Box::pin(work) };
        let mut tasks = self.0.tasks.borrow_mut();
        let at = match self.0.free.borrow_mut().pop() {
            Some(at) => {
                tasks[at] = Some(task);
                at
            }
            None => {
                assert!(tasks.len() < TASKS_MAX, "the harness leaks tasks");
                tasks.push(Some(task));
                tasks.len() - 1
            }
        };
        drop(tasks);
        self.wake_at(self.now(), at);
    }

    /// Waits.
    pub(crate) async fn sleep(&self, ms: u64) {
        let until = self.now() + ms;
        let mut asked = false;
        poll_fn(move |_| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            if !asked {
                asked = true;
                self.wake_at(until, self.0.current.get());
            }
            Poll::Pending
        })
        .await;
    }

    /// Runs until `until`; `check` looks at the world after every step and may stop it.
    pub(crate) fn run(&self, until: u64, mut check: impl FnMut(&mut World, u64) -> bool) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let Some(Reverse((at, _, task))) = self.0.due.borrow().peek().copied() else { break };
            if at > until {
                break;
            }
            self.0.due.borrow_mut().pop();
            self.0.now.set(at);
            let Some(mut taken) = self.0.tasks.borrow_mut().get_mut(task).and_then(Option::take) else { continue };
            if self.w().life(taken.of.0) != Some(taken.of.1) {
                drop(taken);
                self.0.free.borrow_mut().push(task);
                continue;
            }
            self.0.current.set(task);
            self.0.steps.set(self.steps() + 1);
            let done = taken.work.as_mut().poll(&mut context).is_ready();
            if done {
                drop(taken);
                self.0.free.borrow_mut().push(task);
            } else {
                self.0.tasks.borrow_mut()[task] = Some(taken);
            }
            if !check(&mut self.w(), at) {
                return;
            }
        }
        self.0.now.set(until);
    }

    /// Ends every task, so that what they hold of this is freed.
    pub(crate) fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
    }
}

/// A place where one task leaves something for another.
pub(crate) struct Slot<T>(Rc<RefCell<(Option<T>, Option<usize>)>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new((None, None))))
    }

    pub(crate) fn put(&self, sim: &Sim, value: T) {
        let mut inside = self.0.borrow_mut();
        inside.0 = Some(value);
        if let Some(task) = inside.1 {
            sim.wake_at(sim.now(), task);
        }
    }

    /// Waits for the value until `until`.
    pub(crate) async fn take_until(&self, sim: &Sim, until: u64) -> Option<T> {
        let mut asked = false;
        poll_fn(move |_| {
            let mut inside = self.0.borrow_mut();
            if let Some(value) = inside.0.take() {
                return Poll::Ready(Some(value));
            }
            if sim.now() >= until {
                return Poll::Ready(None);
            }
            if !asked {
                asked = true;
                inside.1 = Some(sim.0.current.get());
                sim.wake_at(until, sim.0.current.get());
            }
            Poll::Pending
        })
        .await
    }
}
