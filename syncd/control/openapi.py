"""What the control socket offers, as an OpenAPI description. Data only."""

from typing import Any, Final

from syncd.model.observation import Verb

_TEXT: Final = {"type": "string"}

DESCRIPTION: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "syncd control socket",
        "version": "1",
        "description": "One Unix socket per root, for the user who runs the daemon. HTTP/1.1.",
    },
    "paths": {
        "/v1/status": {
            "get": {
                "summary": "What the daemon does at this moment",
                "responses": {"200": {"description": "The live status", "content": {"application/json": {}}}},
            }
        },
        "/v1/ask": {
            "post": {
                "summary": "Ask something; answered when it is done. Closing the connection withdraws the question",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["verb"],
                                "additionalProperties": False,
                                "properties": {
                                    "verb": {"type": "string", "enum": [str(verb) for verb in Verb]},
                                    "arguments": {"type": "object", "additionalProperties": _TEXT},
                                },
                            }
                        }
                    },
                },
                "responses": {
                    "200": {
                        "description": "The answer; code is the exit code a command line should use",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["code", "text", "more"],
                                    "properties": {
                                        "code": {"type": "integer"},
                                        "text": _TEXT,
                                        "more": {"type": "array", "items": {"type": "array", "items": _TEXT}},
                                    },
                                }
                            }
                        },
                    },
                    "400": {"description": "Not understood; detail says why"},
                },
            }
        },
        "/openapi.json": {"get": {"summary": "This description", "responses": {"200": {"description": "OpenAPI"}}}},
    },
}
