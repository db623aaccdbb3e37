"""What a process forgets or reads again when another one has changed it; never changes anything by itself."""

from dominion.domain.stores import EVERYTHING, Changes, PeopleStore
from dominion.services.accounts.identity import Identity
from dominion.services.limits.admission import Admission


class Following:
    """Keeps what this process remembers of people as true as the database is."""

    def __init__(self, people: PeopleStore, identity: Identity, admission: Admission) -> None:
        self._people = people
        self._identity = identity
        self._admission = admission

    def begin(self, changes: Changes) -> None:
        """Listen from now on."""
        changes.listen("key", self.key)
        changes.listen("user", self.user)

    async def key(self, key_id: str) -> None:
        """A key was revoked."""
        if key_id == EVERYTHING:
            self._identity.forget_everybody()
        else:
            self._identity.forget_key(key_id)

    async def user(self, user_id: str) -> None:
        """The status or the limits of a user have changed. Raises StorageUnavailable; the keys are forgotten first."""
        if user_id == EVERYTHING:
            self._identity.forget_everybody()
            known = self._admission.users()
        else:
            self._identity.forget_user(user_id)
            known = [user_id]
        for each in known:
            user = await self._people.user(each)
            if user is not None:
                self._admission.change_limits(user.id, user.limits)
