import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from webapp.orders.queue import PAINT_NEXT, Ticket, TicketRefused


def forge(function: str, *args: object, **kwargs: object) -> Ticket:
    # Never connects: a job that is only looked at sends nothing.
    ticket = Ticket.create(
        function, args=args, kwargs=kwargs, connection=Redis(), serializer=JSONSerializer
    )
    assert isinstance(ticket, Ticket)
    return ticket


@pytest.mark.parametrize(
    "ticket",
    [
        pytest.param(forge("os.system", "true"), id="any function"),
        pytest.param(forge("webapp.jobs.paint_next"), id="the entry point of an earlier version"),
        pytest.param(forge("webapp.worker.jobs.warm_up"), id="another function of ours"),
        pytest.param(forge(PAINT_NEXT, "argument"), id="arguments"),
        pytest.param(forge(PAINT_NEXT, key="word"), id="keyword arguments"),
    ],
)
def test_a_ticket_runs_nothing_but_the_entry_point(ticket: Ticket) -> None:
    with pytest.raises(TicketRefused, match="refused a ticket"):
        ticket.perform()


def test_callbacks_of_a_forged_ticket_are_cut_off() -> None:
    job = Job.create(PAINT_NEXT, connection=Redis(), serializer=JSONSerializer)
    job._success_callback_name = job._failure_callback_name = job._stopped_callback_name = (
        "os.getcwd"
    )
    assert job.success_callback is not None
    ticket = Ticket(connection=Redis(), serializer=JSONSerializer)
    # As it comes out of Redis: values are bytes.
    stored = {
        key: value.encode() if isinstance(value, str) else value
        for key, value in job.to_dict().items()
    }
    ticket.restore(stored)
    assert ticket.func_name == PAINT_NEXT
    callbacks = ticket.success_callback, ticket.failure_callback, ticket.stopped_callback
    assert callbacks == (None, None, None)
