//! The picture on a terminal, which is given back as it was however this ends: by a key, a signal, an error or a panic.

use std::io;
use std::time::Duration;

use crossterm::event::EventStream;
use ratatui::DefaultTerminal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use wavekv_client::wire::ActivityResponse;
use wavekv_client::{Client, ClientError};

use super::keys::{Then, obey};
use crate::failure::Failure;
use crate::formats::top::{self, COLLECTIONS, Controls, View};

/// The terminal while it shows the picture.
struct Screen(DefaultTerminal);

impl Screen {
    /// From here on a panic gives the terminal back before it says anything.
    fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // Some of it may have been done.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Of a terminal that has gone away, there is nothing to give back.
        let _ = ratatui::try_restore();
    }
}

/// Shows what the daemon does until a key or a signal ends it.
pub(super) async fn run(client: &Client, interval: Duration) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut answers = answers(client.clone(), interval);
    let mut screen = Screen::open()?;
    let mut events = EventStream::new();
    let mut controls = Controls::default();
    let (mut before, mut view): (Option<ActivityResponse>, Option<View>) = (None, None);
    loop {
        screen
            .0
            .draw(|frame| top::draw(frame, view.as_ref(), &controls))?;
        tokio::select! {
            answer = answers.recv() => {
                let Some(answer) = answer else { return Ok(()) };
                let now = answer?;
                // Rates after a pause are of all of it.
                if !controls.is_paused {
                    view = Some(View::between(before.as_ref(), &now));
                    before = Some(now);
                }
            }
            event = events.next() => {
                // A terminal that has gone away sends none.
                let Some(event) = event else { return Ok(()) };
                let collections = view.as_ref().map_or(0, |view| view.collections.len());
                if obey(&event?, &mut controls, collections) == Then::End {
                    return Ok(());
                }
            }
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// What the daemon answers, an answer an interval, until the first that is none. Keys do not wait for it.
fn answers(
    client: Client,
    interval: Duration,
) -> mpsc::Receiver<Result<ActivityResponse, ClientError>> {
    let (teller, told) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let answer = client.activity(COLLECTIONS).await;
            let is_last = answer.is_err();
            if teller.send(answer).await.is_err() || is_last {
                return;
            }
            tokio::time::sleep(interval).await;
        }
    });
    told
}
