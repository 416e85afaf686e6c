"""The pokemons as AWS Lambda functions, on DynamoDB: see README.md."""
