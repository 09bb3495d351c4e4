"""The models in memory: loads what is on disk, and follows it while it changes."""

import asyncio
import gc
import logging
from concurrent.futures import ThreadPoolExecutor

from keras_bert_suite.serving.layout import fingerprint
from keras_bert_suite.serving.status import StatusError, explained

__all__ = ["Repository"]

logger = logging.getLogger(__name__)

#: Names of `ModelVersionStatus.State`.
LOADING, AVAILABLE, END = "LOADING", "AVAILABLE", "END"

_UNTRIED = object()


class _Version:
    """One version on disk: what was loaded of it, and how that went."""

    def __init__(self):
        self.seen = None  # the fingerprint at the last look
        self.tried = _UNTRIED  # the fingerprint that was loaded, or failed to
        self.servable = None
        self.loading = False
        self.error = None

    @property
    def state(self):
        return LOADING if self.loading else AVAILABLE if self.servable else END


class Repository:
    """Keeps the newest whole version of each model loaded. For one event loop.

    A version is loaded when its files have stayed the same between two looks,
    so that a copy in progress is left alone; one that cannot be loaded is
    reported and the one before it goes on. A version is let go of when the one
    that takes its place is in memory and its last request is answered.

    Args:
        places: list of `ModelPlace`.
        load: function of a name, a version and a path that returns a `Servable`.
        poll_seconds: float. Time between two looks at the disk. Defaults to 1.
    """

    def __init__(self, places, load, poll_seconds=1.0):
        self._places = {place.name: place for place in places}
        self._versions = {place.name: {} for place in places}
        self._load = load
        self._poll_seconds = poll_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._leaving = []
        self._looked = set()

    @property
    def names(self):
        return list(self._places)

    @property
    def ready(self):
        """Whether every model has a version that answers."""
        return all(any(found.servable for found in versions.values()) for versions in self._versions.values())

    def get(self, name, version=None, label=None):
        """Return the `Servable` for a request.

        Raises:
            StatusError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label or an absent name.
        """
        if not name:
            raise StatusError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        if label is not None:
            version = self._places[name].labels.get(label) if name in self._places else None
            if version is None:
                raise StatusError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        loaded = {number: found.servable for number, found in self._versions.get(name, {}).items() if found.servable}
        wanted = max(loaded, default=None) if version is None else version
        if wanted not in loaded:
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise StatusError("NOT_FOUND", f"Servable not found for request: {which}")
        return loaded[wanted]

    def states(self, name, version=None):
        """Return `(version, state, error)` of the versions of a model.

        The error is the `StatusError` of the last attempt to load what lies on disk, or `None`.
        """
        versions = self._versions.get(name, {})
        if version is not None and version not in versions:
            raise StatusError("NOT_FOUND", f"Could not find version {version} of model {name}")
        if not versions:
            raise StatusError("NOT_FOUND", f"Could not find any versions of model {name}")
        chosen = versions if version is None else [version]
        return [(number, versions[number].state, versions[number].error) for number in sorted(chosen, reverse=True)]

    async def watch(self):
        """Look at the disk again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self.refresh()
            except Exception:  # Serving goes on with what is loaded, whatever the disk does.
                logger.exception("looking for new versions failed")

    async def refresh(self):
        """Look at the disk once; load and let go of versions as it asks for."""
        for place in self._places.values():
            await self._refresh(place)
        for servable in [servable for servable in self._leaving if not servable.users]:
            self._leaving.remove(servable)
            await self._in_thread(servable.close)
            logger.info("unloaded %s version %s", servable.name, servable.version)
            gc.collect()

    def close(self):
        """End the loading thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _refresh(self, place):
        versions = self._versions[place.name]
        on_disk = await self._in_thread(lambda: {n: (path, fingerprint(path)) for n, path in place.versions().items()})
        first_look = place.name not in self._looked
        self._looked.add(place.name)
        serving = set()
        for number, (path, found) in on_disk.items():
            if number not in place.specific and len(serving) >= place.newest:
                continue
            version = versions.setdefault(number, _Version())
            settled = first_look or found == version.seen
            version.seen = found
            if settled and found != version.tried:
                await self._try(place, number, path, found, version)
            if version.servable:
                serving.add(number)
        for number in [number for number in versions if number not in serving]:
            # With nothing to take its place, a version that is gone from the disk goes on.
            if versions[number].servable and serving:
                self._leaving.append(versions[number].servable)
                versions[number].servable, versions[number].tried = None, _UNTRIED
            if number not in on_disk and not versions[number].servable:
                del versions[number]

    async def _try(self, place, number, path, found, version):
        """Load a version; what it had loaded before stays until that has gone well."""
        version.tried = found
        version.loading = version.servable is None
        try:
            if found is None:
                raise StatusError("NOT_FOUND", f"{path} has no saved_model.pb")
            servable = await self._in_thread(self._load, place.name, number, path)
            if await self._in_thread(fingerprint, path) != found:
                await self._in_thread(servable.close)
                version.tried = _UNTRIED
                raise StatusError("ABORTED", f"{path} changed while it was being loaded")
        except Exception as error:  # TensorFlow and protobuf raise classes of their own
            version.error = explained(error)
            logger.warning("cannot load %s version %s: %s", place.name, number, version.error.message)
        else:
            if version.servable:
                self._leaving.append(version.servable)
            version.servable, version.error = servable, None
            logger.info("loaded %s version %s from %s", place.name, number, path)
        finally:
            version.loading = False

    async def _in_thread(self, function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
