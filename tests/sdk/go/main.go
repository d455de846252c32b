// Command life calls the server with the provider's SDK: it reads a JSON command a line and writes its answer as a
// JSON line.
//
// {"do": "get", "endpoint": .., "key": {"id": .., "secret": ..}, "cluster": .., ..} is answered by {"response":
// {"statusCode": .., "body": ..}}, the body in the names of the wire, or by {"error": {..}} as the SDK has read it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	cs "github.com/alibabacloud-go/cs-20151215/v7/client"
	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/darabonba-openapi/v2/models"
)

type accessKey struct {
	ID     string
	Secret string
}

type command struct {
	Do       string
	Endpoint string
	Key      accessKey
	Cluster  *string
	Clusters []*string
	UID      *string
	Task     *string
	Minutes  *int64
	Hours    *int64
	Number   *int32
	Size     *int32
	Force    *bool
}

type fault struct {
	Kind         string  `json:"kind"`
	Code         *string `json:"code"`
	Message      *string `json:"message"`
	Status       *int    `json:"status_code"`
	RequestID    *string `json:"request_id"`
	RetryAfterMS *int64  `json:"retry_after_ms"`
}

type answer struct {
	Response any    `json:"response,omitempty"`
	Error    *fault `json:"error,omitempty"`
}

func clientOf(c command) *cs.Client {
	protocol, address, _ := strings.Cut(c.Endpoint, "://")
	region := "local"
	client, err := cs.NewClient(&models.Config{
		AccessKeyId:     &c.Key.ID,
		AccessKeySecret: &c.Key.Secret,
		Endpoint:        &address,
		Protocol:        &protocol,
		RegionId:        &region,
	})
	if err != nil {
		log.Fatal(err)
	}
	// Else the SDK folds its typed errors into one without request id and time to wait.
	typed := true
	client.Client.DisableSDKError = &typed
	return client
}

// call gives the SDK's response: status, headers and, for operations that answer something, the body.
func call(c command) (any, error) {
	client := clientOf(c)
	switch c.Do {
	case "states":
		return client.ListUserKubeConfigStates(c.UID, &cs.ListUserKubeConfigStatesRequest{})
	case "holders":
		request := &cs.ListClusterKubeconfigStatesRequest{PageNumber: c.Number, PageSize: c.Size}
		return client.ListClusterKubeconfigStates(c.Cluster, request)
	case "get":
		request := &cs.DescribeClusterUserKubeconfigRequest{TemporaryDurationMinutes: c.Minutes}
		return client.DescribeClusterUserKubeconfig(c.Cluster, request)
	case "expire":
		request := &cs.UpdateK8sClusterUserConfigExpireRequest{User: c.UID, ExpireHour: c.Hours}
		return client.UpdateK8sClusterUserConfigExpire(c.Cluster, request)
	case "revoke":
		return client.RevokeK8sClusterKubeConfig(c.Cluster)
	case "clean":
		request := &cs.CleanClusterUserPermissionsRequest{Force: c.Force}
		return client.CleanClusterUserPermissions(c.Cluster, c.UID, request)
	case "cleanAll":
		request := &cs.CleanUserPermissionsRequest{ClusterIds: c.Clusters, Force: c.Force}
		return client.CleanUserPermissions(c.UID, request)
	case "task":
		return client.DescribeTaskInfo(c.Task)
	}
	return nil, fmt.Errorf("there is no command %q", c.Do)
}

// faultOf says what the SDK has read of an error answer; any other error is a fault of this test.
func faultOf(err error) *fault {
	var throttled *openapi.ThrottlingError
	var refused *openapi.ClientError
	switch {
	case errors.As(err, &throttled):
		return &fault{"ThrottlingError", throttled.Code, throttled.Message, throttled.StatusCode,
			throttled.RequestId, throttled.RetryAfter}
	case errors.As(err, &refused):
		return &fault{"ClientError", refused.Code, refused.Message, refused.StatusCode,
			refused.RequestId, refused.RetryAfter}
	}
	log.Fatal(err)
	return nil
}

func main() {
	commands, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var c command
		if err := commands.Decode(&c); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		response, err := call(c)
		given := answer{Response: response}
		if err != nil {
			given = answer{Error: faultOf(err)}
		}
		if err := answers.Encode(given); err != nil {
			log.Fatal(err)
		}
	}
}
