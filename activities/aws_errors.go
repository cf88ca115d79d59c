package activities

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/rotate-user/rotate-user/internal/secret"
	"github.com/rotate-user/rotate-user/rotation"
)

// awsErrors are AWS's error codes. Any other code is retried: see judgeAWS.
var awsErrors = []group[string]{
	{
		kind: rotation.ErrorUnreachable,
		retried: []string{
			"InternalFailure",
			"InternalServiceError",
			"RequestExpired",
			"RequestTimeout",
			"ServiceUnavailable",
		},
	},
	{
		kind: rotation.ErrorThrottled,
		retried: []string{
			"ProvisionedThroughputExceeded",
			"RequestLimitExceeded",
			"SlowDown",
			"Throttling",
			"ThrottlingException",
			"TooManyRequestsException",
		},
	},
	{
		kind: rotation.ErrorAccessDenied,
		final: []string{
			"AccessDenied",
			"AccessDeniedException",
			"DecryptionFailure",
			"EncryptionFailure",
			"ExpiredToken",
			"ExpiredTokenException",
			"IncompleteSignature",
			"InvalidClientTokenId",
			"InvalidSignatureException",
			"KMSAccessDeniedException",
			"KMSInvalidStateException",
			"UnrecognizedClientException",
		},
	},
	{
		kind: rotation.ErrorSecretsManager,
		final: []string{
			"InvalidParameterException",
			"InvalidRequestException",
			"LimitExceededException",
			"MalformedPolicyDocumentException",
			"PreconditionNotMetException",
			"ResourceExistsException",
			"ResourceNotFoundException",
			"UnknownOperationException",
			"ValidationException",
		},
	},
}

// awsAdvice says what to do about an AWS error whose own message does not.
var awsAdvice = map[string]string{
	"AccessDenied":          "allow the worker to assume its role",
	"AccessDeniedException": "allow the worker this call in its IAM policy, or in the secret's own policy",
	"DecryptionFailure":     "allow the worker kms:Decrypt on the KMS key of the secret, and enable the key if it is disabled",
	"EncryptionFailure": "allow the worker kms:GenerateDataKey and kms:Decrypt on the KMS key of the secret, " +
		"and enable the key if it is disabled",
	"ExpiredToken":              adviseCredentials,
	"ExpiredTokenException":     adviseCredentials,
	"IncompleteSignature":       "check the AWS credentials of the worker",
	"InvalidClientTokenId":      "check the AWS credentials of the worker",
	"InvalidSignatureException": "check the AWS credentials and the clock of the worker",
	"KMSAccessDeniedException":  adviseKMS,
	"KMSInvalidStateException":  "enable the KMS key of the secret",
	"LimitExceededException": "a quota of Secrets Manager is used up: " +
		"see Service Quotas in the AWS console. Secrets Manager keeps the versions of the last 24 hours, and removes older ones by itself",
	"ResourceNotFoundException":   "check the name, and the worker's AWS region and account",
	"UnrecognizedClientException": "check the AWS credentials of the worker",
}

const (
	// adviseKMS is for a key that denies, which AWS may report as an AccessDeniedException of the call that needed it.
	adviseKMS = "allow the worker kms:Decrypt and kms:GenerateDataKey on the KMS key of the secret"
	// adviseCredentials is for credentials that are missing or expired and that the SDK cannot renew by itself.
	adviseCredentials = "give the worker a role, or credentials as for the AWS CLI; " +
		"for an SSO profile, run `aws sso login` where the worker runs; " +
		"the log of the worker's start says what was tried"
)

// awsVerdicts has the verdict on each of these codes.
var awsVerdicts = verdicts(awsErrors, awsAdvice)

// judgeAWS judges AWS's errors. If the code is not listed, the status of the response decides.
func judgeAWS(err error) (verdict, bool) {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return verdict{}, false
	}
	if v, ok := awsVerdicts[api.ErrorCode()]; ok {
		if api.ErrorCode() == "AccessDeniedException" && strings.Contains(api.ErrorMessage(), "KMS") {
			v.advice = adviseKMS
		}
		return v, true
	}
	status := 0
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = response.HTTPStatusCode()
	}
	switch {
	case status == http.StatusTooManyRequests:
		return verdict{kind: rotation.ErrorThrottled, retry: true}, true
	case status >= 500 || api.ErrorFault() == smithy.FaultServer:
		return verdict{kind: rotation.ErrorUnreachable, retry: true}, true
	}
	return verdict{kind: rotation.ErrorUnknown, retry: true}, true
}

// judgeCredentials retries an error only if a service that provides credentials is expected to
// recover by itself. The SDK asks the instance metadata service last, and that service does not
// exist outside AWS. So if it does not answer, no other source is configured.
func judgeCredentials(e *secret.CredentialsError) verdict {
	var operation *smithy.OperationError
	asked := errors.As(e.Err, &operation) && operation.ServiceID != "ec2imds"
	if v := judge(e.Err); asked && v.kind != rotation.ErrorUnknown && (v.retry || v.advice != "") {
		return v
	}
	return verdict{kind: rotation.ErrorAccessDenied, advice: adviseCredentials}
}

// requestedDelay returns the delay that a throttling response requests, at most a minute.
func requestedDelay(err error) (time.Duration, bool) {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return 0, false
	}
	seconds, parseErr := strconv.Atoi(response.Response.Header.Get("Retry-After"))
	if parseErr != nil || seconds <= 0 {
		return 0, false
	}
	return min(time.Duration(seconds)*time.Second, time.Minute), true
}
