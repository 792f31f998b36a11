package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// batchOf is how many requests the batch has, each with an answer of its own.
const batchOf = 20

func batchCalls(base *url.URL, model string) []call {
	c := openai.NewClient(option.WithBaseURL(base.JoinPath("/v1/").String()), option.WithAPIKey("unused"), option.WithMaxRetries(0))
	return []call{{"openai batches", func(ctx context.Context) (any, error) {
		file, err := c.Files.New(ctx, openai.FileNewParams{File: openai.File(strings.NewReader(batchLines(model)), "in.jsonl", "application/jsonl"), Purpose: openai.FilePurposeBatch})
		if err != nil { // Ollama keeps none
			return map[string]bool{"kept": false}, nil //nolint:nilerr // it is what is told
		}
		b, err := c.Batches.New(ctx, openai.BatchNewParams{
			InputFileID: file.ID, Endpoint: openai.BatchNewParamsEndpointV1ChatCompletions, CompletionWindow: openai.BatchNewParamsCompletionWindow24h,
		})
		for err == nil && b.Status != openai.BatchStatusCompleted && b.Status != openai.BatchStatusFailed {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
			b, err = c.Batches.Get(ctx, b.ID)
		}
		if err != nil {
			return refusal(err)
		}
		answers, err := batchAnswers(ctx, &c, b.OutputFileID)
		if err != nil {
			return nil, err
		}
		deleted, err := c.Files.Delete(ctx, file.ID)
		if err != nil {
			return refusal(err)
		}
		return map[string]any{
			"kept": true, "status": b.Status, "answers": answers, "completed": b.RequestCounts.Completed, "total": b.RequestCounts.Total,
			"deleted": deleted.Deleted,
		}, nil
	}}}
}

// batchLines are the requests of the batch.
func batchLines(model string) string {
	var out strings.Builder
	for i := range batchOf {
		body := map[string]any{"model": model, "messages": []map[string]string{{"role": "user", "content": question}}}
		line, _ := json.Marshal(map[string]any{"custom_id": fmt.Sprint(i), "method": "POST", "url": "/v1/chat/completions", "body": body}) // it can be
		out.Write(append(line, '\n'))
	}
	return out.String()
}

// batchAnswers counts the answers of a batch that name what was asked for.
func batchAnswers(ctx context.Context, c *openai.Client, id string) (n int, err error) {
	r, err := c.Files.Content(ctx, id)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, []byte("Paris")) {
			n++
		}
	}
	return n, err
}
