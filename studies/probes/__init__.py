"""What else is asked of a trained model: functions of the model and the data that give a record."""
