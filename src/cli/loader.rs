//! Images ahead of the computation: several files, and several images of one, are read at a time, and come in their order.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use super::inputs::{Image, is_array};
use super::priority::give_way;
use crate::caught::caught;
use crate::graph::Shape;
use crate::picture::{NpyImages, Picture, Placement, Preprocess};

/// What the loader hands over: all images of a source, or some and then a failure, or a failure.
pub enum Loaded {
    Image(Box<Image>),
    Failed { source: usize, failure: Failure },
}

/// How files become images.
pub struct Reading {
    pub files: Vec<PathBuf>,
    /// Of the model's input.
    pub shape: Shape,
    /// Without it, every file is an array.
    pub preprocess: Option<Preprocess>,
    /// The white of pictures with 16 bits.
    pub white: NonZeroU16,
    /// Maps are drawn over the pictures, which are kept for that.
    pub draws: bool,
}

/// A source, and one of its images.
type Place = (usize, usize);

/// What a thread does next.
enum Task {
    /// Reads a picture, or the header of an array and its first image.
    Open(usize),
    Image(Place, Arc<NpyImages>),
}

/// An array of which not all images are read, and the next one.
struct Begun {
    array: Arc<NpyImages>,
    next: usize,
    of: usize,
}

#[derive(Default)]
struct Queue {
    /// The first source that nobody has opened.
    next: usize,
    begun: BTreeMap<usize, Begun>,
    loaded: BTreeMap<Place, Loaded>,
    /// Images that are being read or wait to be taken.
    held: usize,
    /// The image that is to be taken; nobody asks for those before it.
    wanted: Place,
    closed: bool,
}

struct Shared {
    reading: Reading,
    most_held: usize,
    queue: Mutex<Queue>,
    /// There may be something to read.
    room: Condvar,
    /// There may be something to take.
    arrived: Condvar,
}

/// Reads files on threads of its own. It holds as many images as it may be ahead, and one for each thread, whatever the sizes of
/// arrays: their images are read one by one.
pub struct Loader(Arc<Shared>);

impl Loader {
    /// Reads on so many threads, and `ahead` images before they are taken.
    pub fn start(reading: Reading, threads: usize, ahead: usize) -> Self {
        let (queue, room, arrived) = Default::default();
        let shared = Arc::new(Shared { reading, most_held: ahead + threads, queue, room, arrived });
        let files = &shared.reading.files;
        // Of an array, each thread has images to read.
        let busy = if files.iter().any(|file| is_array(file)) { threads } else { threads.min(files.len()) };
        for _ in 0..busy {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                give_way();
                while let Some(task) = shared.task() {
                    shared.carry_out(task);
                }
            });
        }
        Self(shared)
    }
}

impl Iterator for Loader {
    type Item = Loaded;

    fn next(&mut self) -> Option<Loaded> {
        let mut queue = self.0.queue();
        loop {
            let place @ (source, image) = queue.wanted;
            if source == self.0.reading.files.len() {
                return None;
            }
            let Some(loaded) = queue.loaded.remove(&place) else {
                queue = self.0.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.held -= 1;
            queue.wanted = match &loaded {
                Loaded::Image(it) if image + 1 < it.of => (source, image + 1),
                _ => (source + 1, 0),
            };
            match &loaded {
                Loaded::Image(_) => self.0.room.notify_one(),
                Loaded::Failed { .. } => {
                    queue.forget();
                    self.0.room.notify_all();
                }
            }
            return Some(loaded);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.room.notify_all();
    }
}

impl Queue {
    /// Lets go of what follows a failure.
    fn forget(&mut self) {
        let (wanted, before) = (self.wanted, self.loaded.len());
        self.loaded.retain(|place, _| *place >= wanted);
        self.held -= before - self.loaded.len();
        self.begun.retain(|source, _| *source >= wanted.0);
    }

    /// What is to be read first, `None` where there is nothing: images of the first array, so that whoever waits for one of them,
    /// having taken all before it, has left room for it.
    fn task(&mut self, sources: usize) -> Option<Task> {
        if let Some(mut begun) = self.begun.first_entry() {
            let (source, Begun { array, next, of }) = (*begun.key(), begun.get_mut());
            let task = Task::Image((source, *next), Arc::clone(array));
            *next += 1;
            if next == of {
                begun.remove();
            }
            return Some(task);
        }
        let source = self.next;
        self.next = sources.min(source + 1);
        (source < sources).then_some(Task::Open(source))
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to read; `None` where nobody takes it any more.
    fn task(&self) -> Option<Task> {
        let mut queue = self.queue();
        while !queue.closed {
            if queue.held < self.most_held
                && let Some(task) = queue.task(self.reading.files.len())
            {
                queue.held += 1;
                return Some(task);
            }
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn carry_out(&self, task: Task) {
        let place = match &task {
            Task::Open(source) => (*source, 0),
            Task::Image(place, _) => *place,
        };
        let read = caught(|| self.reading.read(task)).unwrap_or_else(|| {
            let name = self.reading.files[place.0].display();
            Err(Failure::input(format!("{name}: could not be read to its end")))
        });
        let (loaded, rest) = match read {
            Ok((image, rest)) => (Loaded::Image(Box::new(image)), rest),
            Err(failure) => (Loaded::Failed { source: place.0, failure }, None),
        };
        let mut queue = self.queue();
        if place < queue.wanted {
            queue.held -= 1;
            return self.room.notify_one();
        }
        queue.loaded.insert(place, loaded);
        if let Some(begun) = rest {
            queue.begun.insert(place.0, begun);
            self.room.notify_all();
        }
        if place == queue.wanted {
            self.arrived.notify_one();
        }
    }
}

impl Reading {
    /// An image, and those that follow it in an array just opened.
    fn read(&self, task: Task) -> Result<(Image, Option<Begun>), Failure> {
        match task {
            Task::Image((source, image), array) => Ok((self.image_of(source, &array, image)?, None)),
            Task::Open(source) => match &self.preprocess {
                Some(preprocess) if !is_array(&self.files[source]) => Ok((self.picture(source, preprocess)?, None)),
                _ => {
                    let array = open_array(&self.files[source], self.shape)?;
                    let image = self.image_of(source, &array, 0)?;
                    let of = image.of;
                    Ok((image, (of > 1).then(|| Begun { array: Arc::new(array), next: 1, of })))
                }
            },
        }
    }

    fn picture(&self, source: usize, preprocess: &Preprocess) -> Result<Image, Failure> {
        let path = &self.files[source];
        let (picture, brightest) = Picture::open_with(path, self.white).map_err(Failure::input)?;
        let (values, placement) = preprocess.apply(&picture).map_err(|e| Failure::input(e).about(path.display()))?;
        let size = [picture.height, picture.width];
        let picture = self.draws.then_some(picture);
        Ok(Image { source, index: None, of: 1, picture, size, placement, brightest, values: values.into() })
    }

    fn image_of(&self, source: usize, array: &NpyImages, image: usize) -> Result<Image, Failure> {
        let (values, several) = (array.read(image).map_err(Failure::input)?, array.shape().len() == 4);
        let (index, of) = (several.then_some(image), if several { array.shape()[0] } else { 1 });
        let size @ [height, width] = [self.shape.height, self.shape.width];
        let placement = Placement { x: 0.0, y: 0.0, width: width as f32, height: height as f32 };
        Ok(Image { source, index, of, picture: None, size, placement, brightest: None, values: values.into() })
    }
}

fn open_array(path: &Path, want: Shape) -> Result<NpyImages, Failure> {
    let images = NpyImages::open(path).map_err(Failure::input)?;
    let tail = [want.channels, want.height, want.width];
    if images.shape()[images.shape().len() - 3..] != tail {
        let message = format!(
            "{}: the model takes images {want}, this array has {:?}; resize it, or give pictures, which are fitted",
            path.display(),
            images.shape()
        );
        return Err(Failure::input(message));
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{decode::WHITE, write_npy};
    use crate::tensor::Tensor;

    fn reading(files: Vec<PathBuf>) -> Reading {
        Reading { files, shape: Shape::new(1, 2, 3), preprocess: None, white: WHITE, draws: false }
    }

    /// Arrays of one to four images, every seventh file missing.
    fn arrays(folder: &Path) -> Vec<PathBuf> {
        let path = |i: usize| folder.join(format!("{i}.npy"));
        for i in (0..40).filter(|i| i % 7 != 3) {
            let shape = [1 + i % 4, 1, 2, 3];
            write_npy(&path(i), &Tensor::new(&shape, vec![i as f32; shape.iter().product()])).expect("a file");
        }
        (0..40).map(path).collect()
    }

    #[test]
    fn images_come_in_order_whatever_reads_them() {
        let folder = tempfile::tempdir().expect("a folder");
        for (threads, ahead) in [(1, 1), (3, 1), (2, 5), (8, 16)] {
            let seen: Vec<(usize, Option<usize>)> = Loader::start(reading(arrays(folder.path())), threads, ahead)
                .map(|loaded| match loaded {
                    Loaded::Image(image) => {
                        assert!(image.values.iter().all(|v| *v == image.source as f32));
                        (image.source, image.index)
                    }
                    Loaded::Failed { source, failure } => {
                        assert!(failure.message.contains(&format!("{source}.npy")), "{}", failure.message);
                        (source, None)
                    }
                })
                .collect();
            let of_file =
                |i: usize| if i % 7 == 3 { vec![(i, None)] } else { (0..1 + i % 4).map(|n| (i, Some(n))).collect() };
            assert_eq!(seen, (0..40).flat_map(of_file).collect::<Vec<_>>(), "{threads} threads, {ahead} ahead");
        }
    }

    #[test]
    fn no_more_is_read_than_may_be_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = arrays(folder.path());
        let mut loader = Loader::start(reading(files.clone()), 2, 4);
        assert!(matches!(loader.next(), Some(Loaded::Image(image)) if image.source == 0));
        for _ in 0..20 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            let queue = loader.0.queue();
            assert!(queue.held <= 6 && queue.loaded.len() <= queue.held);
        }
        // What is not open yet is not read yet: it can still change.
        std::fs::remove_file(&files[20]).expect("removed");
        let failed = loader.filter_map(|loaded| match loaded {
            Loaded::Failed { source, .. } => Some(source),
            Loaded::Image(_) => None,
        });
        assert_eq!(failed.collect::<Vec<_>>(), [3, 10, 17, 20, 24, 31, 38]);
    }
}
