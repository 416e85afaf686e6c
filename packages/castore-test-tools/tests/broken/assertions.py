"""Adapters that do not look at asserted versions, or look too early, or at other ones."""

import asyncio
from collections.abc import Sequence

from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    GroupedRecord,
    VersionAssertionError,
)
from castore_in_memory import InMemoryEventStorageAdapter


class OtherAssertions(InMemoryEventStorageAdapter):
    """Checks asserted versions by a way of its own."""

    def get_versions(self, asserted: AssertedVersion) -> list[int]:
        """Return the versions of the aggregate."""
        return sorted(self._aggregates.get(asserted[:2], {}))

    def holds(self, asserted: AssertedVersion) -> bool:
        """Tell whether a version holds."""
        return max(self.get_versions(asserted), default=0) == asserted.version

    def _check_version(self, asserted: AssertedVersion) -> None:
        if not self.holds(asserted):
            raise VersionAssertionError(*asserted[:3])


class AssertionsPassedOver(OtherAssertions):
    """Does not know of assertions."""

    def holds(self, asserted: AssertedVersion) -> bool:
        """Say yes."""
        return True


class AssertsAnExistingAggregate(OtherAssertions):
    """Takes 0 for a version that must be there."""

    def holds(self, asserted: AssertedVersion) -> bool:
        """Look for the event."""
        return asserted.version > 0 and super().holds(asserted)


class AssertsAtLeast(OtherAssertions):
    """Looks for the event of the version, and not for later ones."""

    def holds(self, asserted: AssertedVersion) -> bool:
        """Find it."""
        return asserted.version == 0 or asserted.version in self.get_versions(asserted)


class AssertsAtMost(OtherAssertions):
    """Looks for the event of the next version, and not for the one before."""

    def holds(self, asserted: AssertedVersion) -> bool:
        """Miss it."""
        return asserted.version + 1 not in self.get_versions(asserted)


class AssertsTheNumber(OtherAssertions):
    """Counts the events."""

    def holds(self, asserted: AssertedVersion) -> bool:
        """Compare their number."""
        return len(self.get_versions(asserted)) == asserted.version


class AssertsUpToAGap(OtherAssertions):
    """Looks for the event of the version, and for that of the next one."""

    def holds(self, asserted: AssertedVersion) -> bool:
        """Find the one, and miss the other."""
        versions = self.get_versions(asserted)
        is_there = asserted.version == 0 or asserted.version in versions
        return is_there and asserted.version + 1 not in versions


class AssertsOverAllStores(OtherAssertions):
    """Does not look at the store."""

    def get_versions(self, asserted: AssertedVersion) -> list[int]:
        """Look in all stores."""
        records = [each.record for each in self._log]
        return sorted(each.version for each in records if each[0] == asserted.aggregate_id)


class AssertsByPrefix(OtherAssertions):
    """Looks for ids that begin with the one that is asserted."""

    def get_versions(self, asserted: AssertedVersion) -> list[int]:
        """Compare the beginnings."""
        store, prefix, *_ = asserted
        keys = [
            each for each in self._aggregates if each[0] == store and each[1].startswith(prefix)
        ]
        return sorted(version for each in keys for version in self._aggregates[each])


class OtherAssertingGroups(InMemoryEventStorageAdapter):
    """Pushes groups by a way of its own."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Push a group."""
        await super().push_event_group(group, asserted=asserted, force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Push that way."""
        await self.push_asserting(group, asserted, force)


class ChecksTheFirstAssertion(OtherAssertingGroups):
    """Has room for one assertion."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Drop the others."""
        await super().push_asserting(group, asserted[:1], force)


class AssertsOfOneStore(OtherAssertingGroups):
    """Takes the store of the first event for that of the assertions."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Look in that store."""
        if group:
            asserted = [each._replace(event_store_id=group[0].event_store_id) for each in asserted]
        await super().push_asserting(group, asserted, force)


class ForceIgnoresAssertions(OtherAssertingGroups):
    """Checks nothing with force."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Drop them."""
        await super().push_asserting(group, () if force else asserted, force)


class NoEventsNoGroup(OtherAssertingGroups):
    """Has nothing to do for a group without events."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Return at once."""
        if group:
            await super().push_asserting(group, asserted, force)


class AssertsBeforehand(OtherAssertingGroups):
    """Lets others in between the check and the write."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Pause."""
        for each in asserted:
            self._check_version(each)
        await asyncio.sleep(0)
        await super().push_asserting(group, (), force)


class AssertsAfterwards(OtherAssertingGroups):
    """Checks the versions when the events are written."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Write first."""
        await super().push_asserting(group, (), force)
        for each in asserted:
            self._check_version(each)


class AssertionIsAnyConflict(OtherAssertingGroups):
    """Has one error for conflicts."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Raise another error."""
        try:
            await super().push_asserting(group, asserted, force)
        except VersionAssertionError as error:
            raise EventAlreadyExistsError(*error.args) from error


class KeywordOnlyAssertionError(VersionAssertionError):
    """An error that does not pickle."""

    def __init__(self, *, store: str, aggregate: str, version: int) -> None:
        super().__init__(store, aggregate, version)


class AssertionErrorDoesNotPickle(OtherAssertingGroups):
    """Raises an error of its own."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Raise another error."""
        try:
            await super().push_asserting(group, asserted, force)
        except VersionAssertionError as error:
            raise KeywordOnlyAssertionError(
                store=error.event_store_id, aggregate=error.aggregate_id, version=error.version
            ) from error


class AssertionIsFinal(OtherAssertingGroups):
    """Has commands give up at an assertion that does not hold."""

    async def push_asserting(
        self, group: Sequence[GroupedRecord], asserted: Sequence[AssertedVersion], force: bool
    ) -> None:
        """Mark the error."""
        try:
            await super().push_asserting(group, asserted, force)
        except VersionAssertionError as error:
            error.retryable = False
            raise
