"""What a message means; independent of settings, clients and output.

limits       the greatest id
types        the nine event types of four entities, and what their `data` holds
cloudevents  the attributes of the envelope
decode       bytes, headers and key in; an event or a refusal out, never an exception
refusals     why a message is no event: one reason and one sentence
schema       JSON Schema of the events, generated from `types`
"""
