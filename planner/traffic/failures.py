"""How a failed call is booked: the source's error class and HTTP code → one of our failure kinds.

In: LiteLLM's, OpenAI's or Anthropic's exception name and the HTTP status. Out: ``transport`` (the same call may succeed
later or elsewhere), ``rate_limit`` (later, or with another key), ``content`` (this text is refused, another model may
take it), ``validation`` (the same call fails again until somebody changes it), ``cancelled`` (the caller left). The kinds
differ in what a retry would do, so wrong keys, missing permissions and spent budgets are ``validation``: repeating them
is useless. Knows nothing of formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CODES", "KINDS", "failure_kind"]

#: Error class → kind, for the names of litellm 1.108, openai 3 and anthropic 2, and the words of Anthropic's and Bedrock's APIs.
KINDS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "Timeout",
            "APITimeoutError",
            "APIConnectionError",
            "APIError",
            "APIResponseValidationError",
            "InternalServerError",
            "ServiceUnavailableError",
            "BadGatewayError",
            "MidStreamFallbackError",
            "OverloadedError",
            *("api_error", "overloaded_error", "timeout_error"),
            *("InternalServerException", "ModelErrorException", "ModelNotReadyException", "ModelStreamErrorException"),
            *("ModelTimeoutException", "ServiceUnavailableException"),
        ),
        "transport",
    ),
    **dict.fromkeys(
        (
            *("RateLimitError", "RouterRateLimitError", "CallerCredentialRateLimitError", "rate_limit_error"),
            *("ThrottlingException", "ServiceQuotaExceededException"),
        ),
        "rate_limit",
    ),
    **dict.fromkeys(
        (
            "ContentPolicyViolationError",
            "GuardrailRaisedException",
            "GuardrailInterventionNormalStringError",
            "BlockedPiiEntityError",
            "RejectedRequestError",
            "SensitiveDataRouteException",
        ),
        "content",
    ),
    **dict.fromkeys(
        (
            "BadRequestError",
            "InvalidRequestError",
            "ContextWindowExceededError",
            "UnprocessableEntityError",
            "UnsupportedParamsError",
            "MalformedRequestFieldError",
            "ImageFetchError",
            "JSONSchemaValidationError",
            "NotFoundError",
            "ModelNotMappedError",
            "AuthenticationError",
            "CallerCredentialAuthenticationError",
            "PermissionDeniedError",
            "PaymentRequiredError",
            "BudgetExceededError",
            *("invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error"),
            *("request_too_large", "AccessDeniedException", "ConflictException", "ResourceNotFoundException", "ValidationException"),
        ),
        "validation",
    ),
    **dict.fromkeys(("CancelledError", "ClientDisconnect", "ClientDisconnected"), "cancelled"),
}


#: Provider's code → kind, where the code says more than the class.
CODES: Mapping[str, str] = {
    **dict.fromkeys(("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"), "content"),
    "context_length_exceeded": "validation",
    "insufficient_quota": "validation",
}


def failure_kind(error_class: str | None, code: Any = None) -> str:
    """Return the kind by a telling code, else by class where known, else by HTTP ``code``; nothing known is ``transport``.

    A code may be a provider's own word: LiteLLM books a content filter's refusal as BadRequestError, code content_filter.

    >>> failure_kind("RateLimitError"), failure_kind("HTTPException", "503"), failure_kind(None, 422), failure_kind("Odd")
    ('rate_limit', 'transport', 'validation', 'transport')
    >>> failure_kind("BadRequestError", "content_filter")
    'content'
    """
    word = str(code or "")
    return CODES.get(word) or KINDS.get((error_class or "").rpartition(".")[2]) or _by_code(word)


def _by_code(code: str) -> str:
    if code == "429":
        return "rate_limit"
    if code == "499":
        return "cancelled"
    return "validation" if len(code) == 3 and code[0] == "4" and code not in ("408", "409", "425") else "transport"
