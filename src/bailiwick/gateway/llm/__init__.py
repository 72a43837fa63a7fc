"""The model edge: agents think through the gateway, under the same mandates as they act."""
