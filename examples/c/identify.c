// Identify pictures in plain C: identify WEIGHTS < PIXELS. A picture is 3 x SIZE x SIZE float32, one colour after the
// other, 0..255; a line of probabilities comes out for each. To be compiled with the model.c of emx-onnx-cgen.
#include <stdbool.h>
#include <stdio.h>

bool model_load(const char *path);
void model(const float image[1][3][SIZE][SIZE], float probabilities[1][CLASSES], float familiarity[1],
           float evidence[1][CLASSES][PLACES][PLACES]);

static float image[1][3][SIZE][SIZE], probabilities[1][CLASSES], familiarity[1], evidence[1][CLASSES][PLACES][PLACES];

int main(int count, char **arguments) {
    if (count != 2 || !model_load(arguments[1])) {
        fprintf(stderr, "usage: identify WEIGHTS < PIXELS\n");
        return 2;
    }
    while (fread(image, sizeof image, 1, stdin) == 1) {
        model(image, probabilities, familiarity, evidence);
        for (int label = 0; label < CLASSES; label++)
            printf("%.9g%c", probabilities[0][label], label + 1 < CLASSES ? ' ' : '\n');
    }
    return 0;
}
