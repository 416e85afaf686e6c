"""Letters to customers: a part of the shop that knows nothing but the messages of its bus."""

from castore_core import NotificationMessage
from castore_in_memory import MessageContext
from shop._orders import OrderEvent, OrderPaid
from shop._products import ProductEvent


class Letters:
    """Thanks for payments. Yours would be sent; these are kept."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def thank(
        self, message: NotificationMessage[ProductEvent | OrderEvent], context: MessageContext
    ) -> None:
        """Thank for a payment. A message may come twice: the id of the letter tells."""
        letter_id = f"thanks for {message.event.aggregate_id}"
        is_new = not context.replay and letter_id not in self.sent
        if isinstance(message.event, OrderPaid) and is_new:
            self.sent.append(letter_id)
