namespace WebhookOperator.Tests;
