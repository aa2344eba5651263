# What is this project's own: the endpoint that commands take where they name no other.
ENDPOINT ?= flight-delay
